// Package catalog keeps databases, schemas and tables in etcd.
//
// # What
//
// A table is a schema laid over journals: ones that it made, or existing ones under
// a prefix. Entries are JSON under {prefix}/catalog/ (docs/format/etcd-keys.md), each
// with a format version and written under a compare. A Snapshot is what a statement
// resolves its names in; it is at least as new as the moment it was asked for.
//
// Roles, and who may do what with tables and schemas, are kept there too; a Snapshot's Actor says what
// that comes to. Nothing is enforced here.
//
// A view is a query that is kept (View). The catalog knows which relations it reads, by their ids, and nothing else of it.
//
// A materialized view is an entry of the same kind that says of itself that its rows are kept. Whoever keeps them follows the entries:
// what is there is to be kept, what isn't any more is to be forgotten. A table that one reads keeps the meaning of its lines.
//
// # Making and dropping a table
//
// The entry and its journals live in different places, so a record in etcd ties
// them together:
//
//	create  T1 put creating/<id>                       drop  D1 delete tables/<name>,
//	        A  Apply: make the journals                         put dropping/<id>
//	        T2 put tables/<name>, delete creating/<id>       A  Apply: delete the journals
//	                                                         D2 delete dropping/<id>
//
// A table is there from T2 to D1, and both are one transaction. A create that fails
// between T1 and T2 moves its record from creating to dropping, and goes on as a
// drop: a create is taken back, a drop is finished. Ids are drawn from a counter and
// never used again, so that journals are named by them without asking anybody, and
// two creates of one name only meet at T2.
//
// A change of a table (AlterTable) is one transaction too. If its journals are to follow, a record is put with it:
//
//	alter   T  put tables/<name>, put altering/<id>
//	        A  Apply: change the journals to what the entry says
//	           delete altering/<id>, unless it was put again
//
// From T on the change is there, and is finished: by this process, or by the sweep.
//
// Each record says until when others leave it alone. A create gives itself a bound
// (Config.CreateTimeout), which is also the deadline of its Apply; a record that is
// older than that and a margin belongs to a process that died, or to a request
// whose outcome was unknown and which can't take effect any more. Run, of any
// process, then does what is left to do; all of it may be done twice. The bound is a
// time and not a lease since a process that outlives it does no harm: its T2 fails
// for want of its record, and it then takes its own journals back.
//
// # Invariants
//
//   - Making or dropping a table is all or nothing, also over a crash in the middle.
//   - Once no create or drop is running and Run had its time: every table has its
//     journals, and every journal that was made for a table has its table.
//   - A table that was dropped and made again has another generation, and so other
//     journals.
//   - Once no change is running and Run had its time, the journals that a table made have the options that it has.
//   - What lines have of one column is never another's, of a table that makes its journals: a column has its key for ever, and one
//     that was dropped leaves it to nobody.
//   - An entry that this program can't read, as of a newer format, is listed as
//     unreadable and never overwritten.
//   - The role postgres is always there, a superuser that may log in. A role that was dropped never comes back,
//     nor what was granted to it: grants name roles by their ids.
//   - An option that isn't acted on is refused by its name.
//   - What a view reads is there as long as the view is, and no view reads itself: views are made, changed and dropped, and
//     tables dropped and altered, under a compare of the version, which every change writes.
//   - Tables, sequences and views of a schema share their names.
//
// # Goroutines
//
// Run starts two tasks, the watch of the mirror and the sweep of old records, and
// awaits them.
//
// # Testing
//
// Against a real embedded etcd and a model of journals, with a fault before or after
// each single request of a create and of a drop: an error, a cancelled context, the
// death of the process, a request that takes effect late.
package catalog
