package sql_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// everyCodec is what fragments in a file store may have.
func everyCodec() []protocol.CompressionCodec {
	return []protocol.CompressionCodec{
		protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP, protocol.CompressionCodec_ZSTANDARD,
		protocol.CompressionCodec_SNAPPY,
	}
}

// foreignJournals makes a journal of each codec under a prefix, whose fragments are closed soon. What it returns appends to all of them.
func foreignJournals(t *testing.T, prefix string) func(content []byte) {
	t.Helper()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	t.Cleanup(func() { _ = brokers.Close() })
	var names []string
	for _, codec := range everyCodec() {
		name := prefix + strings.ToLower(codec.String())
		names = append(names, name)
		_, err := brokers.Apply(t.Context(), []*protocol.ApplyRequest_Change{{Upsert: &protocol.JournalSpec{
			Name: name, Replication: 1, Labels: &protocol.LabelSet{},
			Fragment: &protocol.JournalSpec_Fragment{
				Length: 1 << 10, CompressionCodec: codec, Stores: []string{"file:///"},
				RefreshInterval: durationpb.New(time.Second), Retention: durationpb.New(0),
			},
		}}})
		require.NoError(t, err)
	}
	return func(content []byte) {
		for _, name := range names {
			_, err := brokers.Append(t.Context(), client.AppendParams{Journal: name}, bytes.NewReader(content))
			require.NoError(t, err)
		}
	}
}

// appendTorn appends content in pieces that end anywhere, so that records go over fragments.
func appendTorn(content []byte, add func([]byte)) {
	for len(content) > 0 {
		n := min(len(content), 700)
		add(content[:n])
		content = content[n:]
	}
}

// awaitStored waits until a query of what is stored says what it is to say.
func awaitStored(t *testing.T, sql, want string) {
	t.Helper()
	conn := connect(t)
	exec(t, conn, "SET broadsheet.freshness = 'sealed'")
	require.Eventually(t, func() bool { return rows(t, conn, sql)[0] == want }, time.Minute, 20*time.Millisecond, "%s: %s", sql, want)
}

// subscribed is how many rows a subscription sends, of first and then, after more are added, of more; it waits for them.
func subscribed(t *testing.T, table string, first int, add func(), more int) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := server.Connect(ctx)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(ctx, "BEGIN; DECLARE c CURSOR FOR SUBSCRIBE TO "+table)
	require.NoError(t, err)
	n := 0
	for n < first {
		n += len(rows(t, conn, fmt.Sprintf("FETCH %d FROM c WITH (timeout = '10s')", first-n)))
	}
	add()
	for n < first+more {
		n += len(rows(t, conn, fmt.Sprintf("FETCH %d FROM c WITH (timeout = '10s')", first+more-n)))
	}
	return n
}

// TestCSVTable: a table of CSV over journals of every codec, whose lines go over appends and fragments.
func TestCSVTable(t *testing.T) {
	conn := connect(t)
	add := foreignJournals(t, "csv/visits/")
	var content bytes.Buffer
	const n = 200
	content.WriteString("id;name;at\r\n")
	for i := range n {
		fmt.Fprintf(&content, "%d;\"n;%d\";2024-02-29 12:00:00\r\n", i, i)
	}
	content.WriteString("7;\"never closed;\n8;;\"\"\n;nil;\n")
	appendTorn(content.Bytes(), add)
	exec(t, conn, `CREATE TABLE visits (id INT NOT NULL, name TEXT, at TIMESTAMP) ON JOURNALS 'csv/visits/' FORMAT CSV WITH (delimiter = ';', null = 'nil', header)`)
	t.Cleanup(func() { _, _ = conn.Exec(context.Background(), "DROP TABLE visits CASCADE") })
	count := strconv.Itoa(len(everyCodec()) * n)
	require.Equal(t, []string{count + "|n;199|2024-02-29 12:00:00"}, rows(t, conn, "SELECT count(*), max(name) FILTER (WHERE id = 199), max(at) FROM visits"))
	require.Equal(t, []string{
		`column "at": invalid input syntax for type timestamp: ""`, `column "id": invalid input syntax for type integer: ""`, "unterminated CSV quoted field",
	}, rejectsAre(t, conn, "visits", len(everyCodec())))
	add(bytes.Repeat([]byte("x"), 1100)) // closes fragments
	add([]byte("\n"))
	awaitStored(t, "SELECT count(*) FROM visits", count)
	// Offsets are those of lines.
	require.Equal(t, []string{"0|1"}, rows(t, conn, "SELECT min(id), count(DISTINCT _offset) FROM visits WHERE _offset = 12"))
	exec(t, conn, "CREATE VIEW named AS SELECT name FROM visits WHERE id < 2")
	require.Equal(t, []string{"n;0", "n;1"}, rows(t, conn, "SELECT DISTINCT name FROM named ORDER BY 1"))
	cut := rows(t, conn, "SHOW broadsheet.last_cut")[0]

	exec(t, conn, `INSERT INTO visits (name, id) VALUES ('nil', 1000), (NULL, 1001), ('', 1002), (E'semi;"quote"\r', 1003)`)
	require.Equal(t, []string{"1000|nil|NULL", "1001|NULL|NULL", "1002||NULL", "1003|semi;\"quote\"\r|NULL"}, rows(t, conn, "SELECT * FROM visits WHERE id >= 1000 ORDER BY id"))
	require.Equal(t, []string{count}, rows(t, conn, "SELECT count(*) FROM visits AS OF CUT '"+cut+"'"))
	require.Equal(t, "22023", code(t, conn, `INSERT INTO visits VALUES (1, E'line\nbreak', NULL)`))
	require.Equal(t, "23502", code(t, conn, `INSERT INTO visits (name) VALUES ('x')`))
	exec(t, conn, "BEGIN; INSERT INTO visits VALUES (2000, 'staged', NULL)")
	require.Equal(t, []string{"staged"}, rows(t, conn, "SELECT name FROM visits WHERE id = 2000"))
	exec(t, conn, "ROLLBACK")
	require.Equal(t, []string{"3000|copied"}, copied(t, conn, "visits", "3000\tcopied\t\\N\n", "id = 3000"))
}

// copied copies rows into a table, and some of them out again.
func copied(t *testing.T, conn *pgx.Conn, table, content, where string) []string {
	t.Helper()
	_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(content), "COPY "+table+" FROM STDIN")
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = conn.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT id, name FROM "+table+" WHERE "+where+") TO STDOUT (DELIMITER '|')")
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// rejectsAre are what rejects of a table begin with, each so many times.
func rejectsAre(t *testing.T, conn *pgx.Conn, table string, times int) []string {
	t.Helper()
	return rows(t, conn, "SELECT reason FROM bs_catalog.rejects WHERE table_name = $1 GROUP BY reason HAVING count(*) = $2 ORDER BY 1", table, times)
}

// TestCSVKeepsValues: what is inserted into a table of CSV comes back as it is from one of JSON.
func TestCSVKeepsValues(t *testing.T) {
	conn := connect(t)
	const columns = `(b BOOLEAN, i BIGINT, f DOUBLE PRECISION, n NUMERIC(20,4), v VARCHAR(5), c CHAR(4), y BYTEA, d DATE, t TIME, z TIMESTAMPTZ, w INTERVAL, u UUID, j JSON, k JSONB, a TEXT[])`
	csv := table(t, conn, columns+" WITH (format = 'csv')")
	exec(t, conn, "CREATE TABLE as_json "+columns)
	t.Cleanup(func() { _, _ = conn.Exec(context.Background(), "DROP TABLE as_json") })
	for _, name := range []string{csv, "as_json"} {
		exec(t, conn, "INSERT INTO "+name+` VALUES
			(true, 9007199254740993, 1e-300, 1.5, 'a,"b', 'x', '\x00ff', '0044-03-15 BC', '24:00', '2024-02-29 12:34:56.789+02', '1 mon -2 days', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": 1, "a": ["x\ny"]}', '{"b": 1, "a": 2}', '{"a,b",NULL,""}'),
			(NULL, NULL, 'NaN', NULL, '', '', '', 'infinity', NULL, '-infinity', NULL, NULL, '[]', NULL, '{}'),
			(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`)
	}
	const query = "SELECT * FROM %s ORDER BY _offset"
	require.Equal(t, rows(t, conn, fmt.Sprintf(query, "as_json")), rows(t, conn, fmt.Sprintf(query, csv)))
	require.Equal(t, []string{"x\ny"}, rows(t, conn, "SELECT j->'a'->>0 FROM "+csv+" WHERE b"))
	require.Equal(t, []string{"text/csv"}, labelsOf(t, journal(t, conn, csv)))
}

// labelsOf is the content type of a journal.
func labelsOf(t *testing.T, name string) []string {
	t.Helper()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: "http://" + server.Broker})
	require.NoError(t, err)
	defer func() { _ = brokers.Close() }()
	list, err := brokers.List(t.Context(), &protocol.LabelSelector{Include: protocol.MustLabelSet("name", name)})
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0].GetSpec().GetLabels().ValuesOf(protocol.LabelContentType)
}

// TestRawTable: each line is a row, whatever its bytes.
func TestRawTable(t *testing.T) {
	conn := connect(t)
	add := foreignJournals(t, "raw/logs/")
	content := "GET /\r\n\n{\"not\": \"json\n\xff\xfe\n" + strings.Repeat(strings.Repeat("y", 99)+"\n", 50)
	appendTorn([]byte(content), add)
	exec(t, conn, "CREATE TABLE lines (line TEXT) ON JOURNALS 'raw/logs/' FORMAT RAW")
	exec(t, conn, "CREATE TABLE bytes (line BYTEA) ON JOURNALS 'raw/logs/' WITH (format = 'raw')")
	t.Cleanup(func() { _, _ = conn.Exec(context.Background(), "DROP TABLE lines, bytes") })
	codecs := len(everyCodec())
	require.Equal(t, []string{strconv.Itoa(53 * codecs)}, rows(t, conn, "SELECT count(*) FROM lines"))
	require.Equal(t, []string{strconv.Itoa(54 * codecs)}, rows(t, conn, "SELECT count(*) FROM bytes"))
	require.Equal(t, []string{"7"}, rows(t, conn, "SELECT DISTINCT _offset FROM lines WHERE line = ''"))
	require.Equal(t, []string{`column "line": invalid byte sequence for encoding "UTF8": 0xff`}, rejectsAre(t, conn, "lines", codecs))
	require.Equal(t, []string{`\xfffe`}, rows(t, conn, "SELECT DISTINCT line FROM bytes WHERE _offset = 22"))
	require.Equal(t, "42P16", code(t, conn, "CREATE TABLE bad (a TEXT, b TEXT) WITH (format = 'raw')"))
	require.Equal(t, "42P16", code(t, conn, "CREATE TABLE bad (a INT) WITH (format = 'raw')"))

	own := table(t, conn, "(line BYTEA) WITH (format = 'raw', codec = 'gzip')")
	exec(t, conn, "INSERT INTO "+own+" VALUES ('\\x00ff0d'), ('')")
	require.Equal(t, "23502", code(t, conn, "INSERT INTO "+own+" VALUES (NULL)"))
	require.Equal(t, "22023", code(t, conn, "INSERT INTO "+own+" VALUES ('\\x0a')"))
	require.Equal(t, []string{`\x00ff0d|0`, `\x|4`}, rows(t, conn, "SELECT line, _offset FROM "+own+" ORDER BY _offset"))
	require.Equal(t, 3, subscribed(t, own, 2, func() { exec(t, conn, "INSERT INTO "+own+" VALUES ('a')") }, 1))
}

// descriptorOf is a FileDescriptorSet of a message's file and what it imports.
func descriptorOf(t *testing.T, m proto.Message) string {
	t.Helper()
	set, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	add(m.ProtoReflect().Descriptor().ParentFile())
	b, err := proto.Marshal(set)
	require.NoError(t, err)
	return `\x` + hex.EncodeToString(b)
}

// specFrame is the frame of a message that has a field of each sort.
func specFrame(t *testing.T, i int) []byte {
	t.Helper()
	m, err := proto.Marshal(&protocol.JournalSpec{
		Name: fmt.Sprintf("journal/%d", i), Replication: int32(i),
		Labels: protocol.MustLabelSet("aa", "bb", "cc", "dd"),
		Fragment: &protocol.JournalSpec_Fragment{
			Length: int64(i), CompressionCodec: protocol.CompressionCodec_SNAPPY, Stores: []string{"file:///", "s3://x/"}, RefreshInterval: durationpb.New(90 * time.Second),
		},
	})
	require.NoError(t, err)
	b, err := message.Fixed.AppendFrame(nil, m)
	require.NoError(t, err)
	return b
}

// TestProtobufTable: frames in journals of every codec, garbage and hostile lengths among them.
func TestProtobufTable(t *testing.T) {
	conn := connect(t)
	add := foreignJournals(t, "proto/specs/")
	const n = 60
	var content []byte
	for i := range n {
		content = append(content, specFrame(t, i)...)
		switch i {
		case 10:
			content = append(content, "no frame at all"...)
		case 20: // a message of a gigabyte, it says
			content = append(content, 0x66, 0x33, 0x93, 0x36, 0, 0, 0, 0x40, 'x')
		case 30: // one that would have what comes after it
			content = append(content, 0x66, 0x33, 0x93, 0x36, 100, 0, 0, 0, 0xff)
		}
	}
	appendTorn(content, add)
	exec(t, conn, `CREATE TABLE specs (name TEXT, replication INT, labels JSONB, fragment JSONB) ON JOURNALS 'proto/specs/' FORMAT PROTOBUF
		WITH (message = 'protocol.JournalSpec', descriptor = '`+descriptorOf(t, &protocol.JournalSpec{})+`')`)
	t.Cleanup(func() { _, _ = conn.Exec(context.Background(), "DROP TABLE specs CASCADE") })
	codecs := len(everyCodec())
	count := strconv.Itoa(n * codecs)
	require.Equal(t, []string{count + "|0|59"}, rows(t, conn, "SELECT count(*), min(replication), max(replication) FROM specs"))
	require.Equal(t, []string{"journal/59|SNAPPY|s3://x/|90s|dd|59"}, rows(t, conn, `SELECT DISTINCT name, fragment->>'compression_codec', fragment->'stores'->>1,
		fragment->>'refresh_interval', labels->'labels'->1->>'value', (fragment->>'length')::int FROM specs WHERE replication = 59`))
	require.Equal(t, []string{
		"no frame begins here", "not a message protocol.JournalSpec: byte 0: cannot parse reserved wire type", "the frame's message would have 1073741824 bytes, at most 16777216 work",
	}, rejectsAre(t, conn, "specs", codecs))
	require.Equal(t, []string{strconv.Itoa(codecs)}, rows(t, conn, "SELECT count(*) FROM specs WHERE _offset = $1", len(specFrame(t, 0))))
	e := "INSERT INTO specs (name) VALUES ('x')"
	require.Equal(t, "0A000", code(t, conn, e))
	_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("x\n"), "COPY specs (name) FROM STDIN")
	require.ErrorContains(t, err, "0A000")
	var out bytes.Buffer
	_, err = conn.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT name FROM specs WHERE replication = 7) TO STDOUT")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("journal/7\n", codecs), out.String())

	require.Equal(t, (n+1)*codecs, subscribed(t, "specs", n*codecs, func() { add(specFrame(t, 1000)) }, codecs))
	for range 40 {
		add(specFrame(t, 1001))
	}
	awaitStored(t, "SELECT count(DISTINCT _journal) FROM specs WHERE replication = 1000", strconv.Itoa(codecs))
}

func TestFormatsAreRefusedByName(t *testing.T) {
	conn := connect(t)
	set := descriptorOf(t, &protocol.JournalSpec{})
	for sql, want := range map[string]string{
		"CREATE TABLE bad (a INT) WITH (format = 'avro')":                                                                        "22023",
		"CREATE TABLE bad (a INT) WITH (delimiter = ';')":                                                                        "22023",
		"CREATE TABLE bad (a INT) WITH (format = 'csv', delimiter = '::')":                                                       "22023",
		"CREATE TABLE bad (a INT) WITH (format = 'csv', message = 'x')":                                                          "22023",
		"CREATE TABLE bad (a INT) WITH (format = 'protobuf', message = 'x')":                                                     "22023",
		"CREATE TABLE bad (a INT) WITH (format = 'protobuf', message = 'protocol.None', descriptor = '" + set + "')":             "22023",
		"CREATE TABLE bad (a INT) WITH (format = 'protobuf', message = 'protocol.JournalSpec', descriptor = '" + set + "')":      "42703",
		"CREATE TABLE bad (name BYTEA) WITH (format = 'protobuf', message = 'protocol.JournalSpec', descriptor = '" + set + "')": "42P16",
		"CREATE TABLE bad (a INT) ON JOURNALS 'x/' FORMAT AVRO":                                                                  "0A000",
		"CREATE TABLE bad (a INT) ON JOURNALS 'x/' FORMAT CSV WITH (format = 'csv')":                                             "42601",
	} {
		require.Equal(t, want, code(t, conn, sql), sql)
	}
}
