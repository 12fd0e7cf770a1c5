# ruby-pg.

require 'pg'
require 'bigdecimal'

$stdout.sync = true
TABLE = ENV.fetch('CLIENT_TABLE')
LONG = 'SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3'
COPIED = ["10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n", "11\t\\N\t\\N\t\\N\n"].freeze

def same(got, want)
  raise "it is #{got.inspect}, not #{want.inspect}" if got != want
end

# The block fails with an error of the class.
def fails(error, text = '')
  yield
rescue error => e
  raise e unless e.message.include?(text)
else
  raise "nothing failed with #{error}"
end

def step(name)
  yield
  puts "#{name}: ok"
rescue StandardError => e
  puts "#{name}: #{e.class}: #{e.message.split.join(' ')}"
end

# libpq reads what isn't said from the environment.
def opened(**said)
  conn = PG.connect(**said)
  types = PG::BasicTypeMapForResults.new(conn)
  types.default_type_map = PG::TypeMapAllStrings.new # what it has no class for is text, without a warning
  conn.type_map_for_results = types
  conn
end

conn = opened

step 'connect' do
  same conn.exec('SELECT 1').getvalue(0, 0), 1
  same conn.server_version / 10_000, 15
  same conn.internal_encoding.to_s, 'UTF-8'
end

step 'browse' do
  r = conn.exec_params("SELECT tablename FROM pg_tables WHERE schemaname = 'shop' AND tablename = $1", ['kinds'])
  same r.values, [['kinds']]
  r = conn.exec_params("SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = $1::regclass AND attnum IN (1, 21) ORDER BY attnum", ['shop.kinds'])
  same r.values, [%w[id integer], ['a_texts', 'text[]']]
end

step 'describe' do
  conn.prepare('described', 'SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds WHERE id < $1')
  r = conn.describe_prepared('described')
  same [r.nparams, r.paramtype(0)], [1, 23]
  same r.fields, %w[id a_numeric a_varchar a_texts]
  same (0..3).map { |i| [r.ftype(i), r.fmod(i)] }, [[23, -1], [1700, (20 << 16) + 4 + 4], [1043, 40 + 4], [1009, -1]]
end

step 'read' do
  rows = conn.exec_params('SELECT * FROM shop.kinds WHERE id >= $1 ORDER BY id', [1]).values
  at, eve = Time.utc(2026, 1, 2, 3, 4, 5, 678_901r), Time.utc(1969, 12, 31, 23, 59, 59)
  dates = [Date.new(2026, 1, 2), Date.new(1969, 12, 31)]
  same rows[0].values_at(0..10), [1, true, 32_767, 9_223_372_036_854_775_807, 1.5, 0.1, BigDecimal('1234567890123456.7891'), 'plain', 'varying', 'abc', "\x00\xff\x10".b]
  same rows[1].values_at(0..10), [2, false, -32_768, -9_223_372_036_854_775_808, -1.5, 1e300, BigDecimal('-0.0001'), "q'uote\ttab\nline ü 漢", '', 'x  ', '']
  same rows.map { |r| r[11] }, dates + [nil]
  same rows.map { |r| r[12] }, ['03:04:05.678901', '00:00:00', nil]
  same rows.map { |r| r[14]&.utc }, [at, eve, nil]
  same rows[0].values_at(15..16), ['1 year 2 mons 3 days 04:05:06.789', '00112233-4455-6677-8899-aabbccddeeff']
  same rows.map { |r| r[17] }, [{ 'a' => [1, nil] }, 'text', nil]
  same rows.map { |r| r[18] }, [{ 'b' => { 'c' => 2 } }, [], nil]
  same rows.map { |r| r[19..20] }, [[[1, nil, -3], ['a b', nil, 'c"d']], [[], []], [nil, nil]]
  same rows[2], [3] + [nil] * 6 + ['none'] + [nil] * 13
  binary = conn.exec_params('SELECT a_small, a_big, a_bytea, a_text, a_bool FROM shop.kinds WHERE id = $1', [1], 1)
  same binary.values, [[32_767, 9_223_372_036_854_775_807, "\x00\xff\x10".b, 'plain', true]]
  conn.send_query('SELECT id FROM shop.kinds ORDER BY id')
  conn.set_single_row_mode
  same conn.get_result.stream_each.map { |r| r['id'] }, [1, 2, 3]
  same conn.get_result, nil
end

step 'write' do
  conn.exec("CREATE TABLE #{TABLE} (id integer, name text, price numeric(12,2), at timestamptz)")
  conn.prepare('add', "INSERT INTO #{TABLE} VALUES ($1, $2, $3, $4)")
  rows = [[1, 'one', '1.50', '2026-01-02 03:04:05.678901+00'], [2, "it's \"two\" \\ ü", '-2.25', '1969-12-31 23:59:59+00'], [3, nil, nil, nil]]
  same(rows.map { |row| conn.exec_prepared('add', row).cmd_tuples }, [1, 1, 1])
end

step 'copy' do
  r = conn.copy_data("COPY #{TABLE} FROM STDIN") { COPIED.each { |line| conn.put_copy_data(line) } }
  same r.cmd_tuples, 2
  got = []
  conn.copy_data("COPY (SELECT * FROM #{TABLE} WHERE id >= 10 ORDER BY id) TO STDOUT") do
    while (line = conn.get_copy_data)
      got << line
    end
  end
  same got, COPIED
end

step 'cancel' do
  other = opened
  conn.send_query(LONG)
  active = "SELECT count(*) FROM bs_catalog.sessions WHERE pid = #{conn.backend_pid} AND state = 'active' AND query LIKE '%generate_series%'"
  nil until other.exec(active).getvalue(0, 0) == 1
  same conn.cancel, nil
  fails(PG::QueryCanceled) { conn.get_last_result }
  other.close
  same conn.exec('SELECT 1').getvalue(0, 0), 1
end

step 'transaction' do
  begin
    conn.transaction do
      conn.exec("INSERT INTO #{TABLE} (id) VALUES (20)")
      same conn.exec("SELECT count(*) FROM #{TABLE} WHERE id = 20").getvalue(0, 0), 1
      raise KeyError
    end
  rescue KeyError
    nil
  end
  conn.transaction { conn.exec("INSERT INTO #{TABLE} (id) VALUES (21)") }
end

step 'error' do
  fails(PG::UndefinedTable) { conn.exec('SELECT * FROM shop.nowhere') }
  fails(PG::DivisionByZero) { conn.exec_params('SELECT 1 / $1::integer', [0]) }
  same conn.exec('SELECT 1').getvalue(0, 0), 1
end

if ENV.fetch('PGSSLMODE') != 'disable'
  step 'tls' do
    same conn.ssl_in_use?, true
    fails(PG::ConnectionBad, 'no encryption') { opened(sslmode: 'disable') }
    fails(PG::ConnectionBad, 'certificate verify failed') { opened(sslrootcert: ENV.fetch('CLIENT_OTHER_CA')) }
  end
  step 'scram' do
    opened(channel_binding: 'require').close
    fails(PG::ConnectionBad, 'password authentication failed') { opened(password: 'wrong') }
  end
end
