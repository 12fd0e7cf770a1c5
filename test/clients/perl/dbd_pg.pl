# DBD::Pg.
use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg qw(:async :pg_types);
binmode STDOUT, ':utf8';
$| = 1;

my $table = $ENV{CLIENT_TABLE};
my $long  = 'SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3';
my $tab   = "q'uote\ttab\nline ü 漢";

# Everything but the password and what is given is read from the environment by libpq.
sub opened { DBI->connect("dbi:Pg:$_[0]", '', $_[1] // '', {RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, pg_enable_utf8 => 1}) }

sub show { join '|', map { !defined $_ ? 'NULL' : ref $_ ? '[' . show(@$_) . ']' : $_ } @_ }

sub same {
    my ($got, $want) = @_;
    die "it is $got, not $want\n" if $got ne $want;
}

# The code fails with an SQLSTATE.
sub fails {
    my ($state, $code) = @_;
    my $done = eval { $code->(); 1 };
    die "nothing failed with $state\n" if $done;
    my $got = $DBI::state;
    die "SQLSTATE is $got, not $state: $@" if $got ne $state;
}

sub step {
    my ($name, $code) = @_;
    my $done = eval { $code->(); 1 };
    my $why  = $@;
    $why =~ s/\s+/ /g;
    print $done ? "$name: ok\n" : "$name: $why\n";
}

my $dbh = opened('', $ENV{PGPASSWORD});

step connect => sub {
    same($dbh->selectrow_array('SELECT 1'), 1);
    same($dbh->ping, 1);
    same(substr($dbh->get_info(18), 0, 3), '15.');
};

step browse => sub {
    my $t = $dbh->table_info(undef, 'shop', 'kinds', 'TABLE')->fetchrow_hashref;
    same(show(@{$t}{qw(TABLE_SCHEM TABLE_NAME TABLE_TYPE REMARKS)}), 'shop|kinds|TABLE|one column of each type');
    my $columns = $dbh->column_info(undef, 'shop', 'kinds', '%')->fetchall_hashref('COLUMN_NAME');
    same(scalar(keys %$columns), 21);
    same(show(@{$columns->{a_numeric}}{qw(TYPE_NAME COLUMN_SIZE NULLABLE REMARKS)}), 'numeric|4,20|1|money');
    same(show(@{$columns->{id}}{qw(TYPE_NAME NULLABLE ORDINAL_POSITION)}), 'integer|0|1');
    same(show($dbh->primary_key(undef, 'shop', 'kinds')), 'id');
};

step describe => sub {
    my $s = $dbh->prepare('SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds WHERE id < ?');
    $s->execute(0);
    same(show(@{$s->{NAME}}), 'id|a_numeric|a_varchar|a_texts');
    same(show(@{$s->{pg_type}}), 'int4|numeric|varchar|_text');
    same(show($s->{PRECISION}[1], $s->{SCALE}[1], $s->{PRECISION}[2]), '20|4|44');    # of varchar it is the modifier as it comes: 40 and 4
};

step read => sub {
    my $rows = $dbh->selectall_arrayref('SELECT * FROM shop.kinds WHERE id >= ? ORDER BY id', undef, 1);
    same(show(@{$rows->[0]}), "1|1|32767|9223372036854775807|1.5|0.1|1234567890123456.7891|plain|varying|abc|\x00\xff\x10|2026-01-02|03:04:05.678901|2026-01-02 03:04:05.678901|2026-01-02 03:04:05.678901+00|1 year 2 mons 3 days 04:05:06.789|00112233-4455-6677-8899-aabbccddeeff|{\"a\":[1,null]}|{\"b\": {\"c\": 2}}|[1|NULL|-3]|[a b|NULL|c\"d]");
    same(show(@{$rows->[1]}), "2|0|-32768|-9223372036854775808|-1.5|1e+300|-0.0001|$tab||x  ||1969-12-31|00:00:00|1969-12-31 23:59:59|1969-12-31 23:59:59+00|-1 days|ffffffff-ffff-ffff-ffff-ffffffffffff|\"text\"|[]|[]|[]");
    same(show(@{$rows->[2]}), '3' . '|NULL' x 6 . '|none' . '|NULL' x 13);
};

step write => sub {
    $dbh->do("CREATE TABLE $table (id integer, name text, price numeric(12,2), at timestamptz)");
    my $s = $dbh->prepare("INSERT INTO $table VALUES (?, ?, ?, ?)");
    $dbh->begin_work;
    same($s->execute(@$_), 1) for [1, 'one', '1.50', '2026-01-02 03:04:05.678901+00'], [2, "it's \"two\" \\ ü", '-2.25', '1969-12-31 23:59:59+00'], [3, undef, undef, undef];
    $dbh->commit;
};

step copy => sub {
    my @lines = ("10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n", "11\t\\N\t\\N\t\\N\n");
    $dbh->do("COPY $table FROM STDIN");
    $dbh->pg_putcopydata($_) for @lines;
    same($dbh->pg_putcopyend, 1);
    $dbh->do("COPY (SELECT * FROM $table WHERE id >= 10 ORDER BY id) TO STDOUT");
    my ($line, @got) = ('');
    push @got, $line while $dbh->pg_getcopydata($line) >= 0;
    same(join('', @got), join('', @lines));
};

step cancel => sub {
    my $other = opened('', $ENV{PGPASSWORD});
    my $pid   = $dbh->{pg_pid};
    my $s     = $dbh->prepare($long, {pg_async => PG_ASYNC});
    $s->execute;
    while ($other->selectrow_array("SELECT count(*) FROM bs_catalog.sessions WHERE pid = $pid AND state = 'active' AND query LIKE '%generate_series%'") != 1) {
        die "it ended by itself\n" if $dbh->pg_ready;
    }
    $dbh->pg_cancel;
    same($dbh->state, '57014');
    $other->disconnect;
    same($dbh->selectrow_array('SELECT 1'), 1);
};

step transaction => sub {
    $dbh->begin_work;
    $dbh->do("INSERT INTO $table (id) VALUES (20)");
    same($dbh->selectrow_array("SELECT count(*) FROM $table WHERE id = 20"), 1);
    $dbh->rollback;
    $dbh->begin_work;
    $dbh->do("INSERT INTO $table (id) VALUES (21)");
    $dbh->pg_savepoint('s');
    $dbh->do("INSERT INTO $table (id) VALUES (22)");
    $dbh->pg_rollback_to('s');
    $dbh->commit;
};

step error => sub {
    fails('42P01', sub { $dbh->do('SELECT * FROM shop.nowhere') });
    fails('22012', sub { $dbh->selectrow_array('SELECT 1 / ?::integer', undef, 0) });
    same($dbh->selectrow_array('SELECT 1'), 1);
};

if ($ENV{PGSSLMODE} ne 'disable') {
    step tls => sub {
        eval { opened('sslmode=disable', $ENV{PGPASSWORD}) };
        die "in the clear: $@" if $@ !~ /no encryption/;
        eval { opened("sslrootcert=$ENV{CLIENT_OTHER_CA}", $ENV{PGPASSWORD}) };
        die "another authority: $@" if $@ !~ /certificate verify failed/;
    };
    step scram => sub {
        opened('channel_binding=require', $ENV{PGPASSWORD});
        eval { opened('', 'wrong') };
        die "a wrong password: $@" if $@ !~ /password authentication failed/;
    };
}
