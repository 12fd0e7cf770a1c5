#!/bin/bash
# psql.

long_ago='1969-12-31 23:59:59+00'
ask() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --set VERBOSITY=verbose "$@" 2>&1; }

# step NAME WANT GOT
step() {
  if [ "$3" == "$2" ]; then echo "$1: ok"; else echo "$1: it is ${3//$'\n'/ }, not ${2//$'\n'/ }"; fi
}

# has TEXT OF: the text, if it is in the other, which it is else.
has() { case "$2" in *"$1"*) echo "$1" ;; *) echo "$2" ;; esac; }

step connect 1 "$(ask -c 'SELECT 1')"

step browse "$(printf 'shop|kinds|table|postgres\nid|integer||not null|')" "$(ask -c '\dt shop.kinds'; ask -c '\d shop.kinds' | sed -n 1p)"

step describe "$(printf 'id|integer\na_numeric|numeric(20,4)\na_texts|text[]')" "$(ask <<< 'SELECT id, a_numeric, a_texts FROM shop.kinds \gdesc')"

step read "$(cat <<'END'
1|t|32767|9223372036854775807|1.5|0.1|1234567890123456.7891|plain|varying|abc|\x00ff10|2026-01-02|03:04:05.678901|2026-01-02 03:04:05.678901|2026-01-02 03:04:05.678901+00|1 year 2 mons 3 days 04:05:06.789|00112233-4455-6677-8899-aabbccddeeff|{"a":[1,null]}|{"b": {"c": 2}}|{1,NULL,-3}|{"a b",NULL,"c\"d"}
2|f|-32768|-9223372036854775808|-1.5|1e+300|-0.0001|q'uote	tab
line ü 漢||x  |\x|1969-12-31|00:00:00|1969-12-31 23:59:59|1969-12-31 23:59:59+00|-1 days|ffffffff-ffff-ffff-ffff-ffffffffffff|"text"|[]|{}|{}
3|-|-|-|-|-|-|none|-|-|-|-|-|-|-|-|-|-|-|-|-
END
)" "$(ask -P null=- --set FETCH_COUNT=2 <<< 'SELECT * FROM shop.kinds ORDER BY id;')"

step write '' "$(ask --set second="it's \"two\" \\ ü" --set ago="$long_ago" <<END
CREATE TABLE $CLIENT_TABLE (id integer, name text, price numeric(12,2), at timestamptz);
INSERT INTO $CLIENT_TABLE VALUES (1, 'one', 1.50, '2026-01-02 03:04:05.678901+00'), (2, :'second', -2.25, :'ago');
INSERT INTO $CLIENT_TABLE (id) VALUES (3);
END
)"

copied=$(printf '10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n11\t\\N\t\\N\t\\N')
step copy "$copied" "$(ask -c "\\copy $CLIENT_TABLE FROM STDIN" <<< "$copied"; ask -c "\\copy (SELECT * FROM $CLIENT_TABLE WHERE id >= 10 ORDER BY id) TO STDOUT")"

step transaction 1 "$(ask <<END
BEGIN;
INSERT INTO $CLIENT_TABLE (id) VALUES (20);
SELECT count(*) FROM $CLIENT_TABLE WHERE id = 20;
ROLLBACK;
BEGIN;
INSERT INTO $CLIENT_TABLE (id) VALUES (21);
COMMIT;
END
)"

step error '42P01 22012 1' "$(ask --set ON_ERROR_STOP=0 <<'END' | grep -v -e ERROR -e LINE -e '\^' -e LOCATION | tr '\n' ' ' | sed 's/ $//'
SELECT * FROM shop.nowhere;
\echo :SQLSTATE
SELECT 1 / 0;
\echo :SQLSTATE
SELECT 1;
END
)"

if [ "$PGSSLMODE" != disable ]; then
  step tls "$(printf 'SSL connection\nno encryption\ncertificate verify failed')" \
    "$(has 'SSL connection' "$(psql --no-psqlrc -c '\conninfo' 2>&1)"; has 'no encryption' "$(PGSSLMODE=disable ask -c 'SELECT 1')"; has 'certificate verify failed' "$(PGSSLROOTCERT=$CLIENT_OTHER_CA ask -c 'SELECT 1')")"
  step scram "$(printf '1\npassword authentication failed')" "$(PGCHANNELBINDING=require ask -c 'SELECT 1'; has 'password authentication failed' "$(PGPASSWORD=wrong ask -c 'SELECT 1')")"
fi
