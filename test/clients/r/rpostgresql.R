# RPostgreSQL.
suppressPackageStartupMessages(library(RPostgreSQL))

env <- Sys.getenv
table <- strsplit(env("CLIENT_TABLE"), ".", fixed = TRUE)[[1]]
driver <- dbDriver("PostgreSQL")

# libpq reads from the environment what isn't said.
opened <- function(dbname = env("PGDATABASE"), password = env("PGPASSWORD")) {
  dbConnect(driver, host = env("PGHOST"), port = env("PGPORT"), user = env("PGUSER"), password = password, dbname = dbname)
}

same <- function(got, want) {
  if (!identical(got, want)) stop("it is ", paste(deparse(got), collapse = " "), ", not ", paste(deparse(want), collapse = " "))
}

# The expression fails with a message that has the text. Warnings tell what the driver writes to the terminal.
fails <- function(text, expr) {
  said <- tryCatch({ expr; "" }, error = conditionMessage)
  if (!grepl(text, said, fixed = TRUE)) stop("it failed with \"", said, "\", not with ", text)
}

step <- function(name, expr) {
  said <- tryCatch({ expr; "ok" }, error = function(e) gsub("[[:space:]]+", " ", conditionMessage(e)))
  cat(name, ": ", said, "\n", sep = "")
}

c <- opened()
run <- function(query, ...) invisible(dbClearResult(dbSendQuery(c, query, ...)))

step("connect", {
  same(dbGetQuery(c, "SELECT 1 AS n")$n, 1L)
  same(substr(dbGetInfo(c)$serverVersion, 1, 3), "15.")
})

step("browse", {
  same("kinds" %in% dbListTables(c), TRUE)
  same(dbExistsTable(c, base::c("shop", "kinds")), TRUE)
  fields <- dbListFields(c, base::c("shop", "kinds")) # in no order: it asks for none
  same(length(fields), 21L)
  same(base::c("id", "a_bool", "a_texts") %in% fields, base::c(TRUE, TRUE, TRUE))
})

step("describe", {
  r <- dbSendQuery(c, "SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds LIMIT 0")
  i <- dbColumnInfo(r)
  dbClearResult(r)
  same(i$name, base::c("id", "a_numeric", "a_varchar", "a_texts"))
  same(i$type, base::c("INTEGER", "DECIMAL", "VARCHAR", "UNKNOWN"))
  same(i$nullOK, base::c(FALSE, TRUE, TRUE, TRUE)) # the catalog is asked, by each column's table and number
})

step("read", {
  k <- suppressWarnings(dbGetQuery(c, "SELECT * FROM shop.kinds ORDER BY id"))
  same(k$id, 1:3)
  same(k$a_bool, base::c(TRUE, FALSE, NA))
  same(k$a_small, base::c(32767L, -32768L, NA))
  same(k$a_real, base::c(1.5, -1.5, NA))
  same(k$a_double, base::c(0.1, 1e300, NA))
  same(k$a_text, base::c("plain", "q'uote\ttab\nline \u00fc \u6f22", "none"))
  same(k$a_char, base::c("abc", "x  ", NA))
  same(k$a_date, as.Date(base::c("2026-01-02", "1969-12-31", NA)))
  same(format(k$a_timestamptz, tz = "UTC"), base::c("2026-01-02 03:04:05", "1969-12-31 23:59:59", NA))
  same(k$a_interval, base::c("1 year 2 mons 3 days 04:05:06.789", "-1 days", NA))
  same(k$a_uuid[1], "00112233-4455-6677-8899-aabbccddeeff")
  same(k$a_jsonb, base::c("{\"b\": {\"c\": 2}}", "[]", NA))
  same(k$a_texts, base::c("{\"a b\",NULL,\"c\\\"d\"}", "{}", NA))
  same(dbGetQuery(c, "SELECT id FROM shop.kinds WHERE a_text = $1", "none")$id, 3L)
})

step("write", {
  run(sprintf("CREATE TABLE %s (id integer, name text, price numeric(12,2), at timestamptz)", env("CLIENT_TABLE")))
  add <- sprintf("INSERT INTO %s VALUES ($1, $2, $3, $4)", env("CLIENT_TABLE"))
  run(add, list(1, "one", "1.50", "2026-01-02 03:04:05.678901+00"))
  run(add, list(2, "it's \"two\" \\ \u00fc", "-2.25", "1969-12-31 23:59:59+00"))
  run(sprintf("INSERT INTO %s (id) VALUES ($1)", env("CLIENT_TABLE")), list(3)) # NA would be a text
})

step("copy", { # dbWriteTable copies
  rows <- data.frame(id = 10:11, name = base::c("tab\tnew\nline\\", NA), price = base::c(10, NA), at = base::c("2026-01-02 03:04:05+00", NA))
  same(dbWriteTable(c, table, rows, append = TRUE, row.names = FALSE), TRUE)
})

step("cancel", {
  run("SET statement_timeout = '200ms'") # it has no other way to end a statement
  fails("canceling statement due to statement timeout", dbSendQuery(c, "SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3"))
  run("RESET statement_timeout")
  same(dbGetQuery(c, "SELECT 1 AS n")$n, 1L)
})

step("transaction", {
  dbBegin(c)
  run(sprintf("INSERT INTO %s (id) VALUES (20)", env("CLIENT_TABLE")))
  same(as.integer(dbGetQuery(c, sprintf("SELECT count(*) AS n FROM %s WHERE id = 20", env("CLIENT_TABLE")))$n), 1L)
  dbRollback(c)
  dbBegin(c)
  run(sprintf("INSERT INTO %s (id) VALUES (21)", env("CLIENT_TABLE")))
  dbCommit(c)
})

step("error", {
  fails("relation \"shop.nowhere\" does not exist", dbSendQuery(c, "SELECT * FROM shop.nowhere"))
  fails("division by zero", dbSendQuery(c, "SELECT 1 / 0"))
  same(dbGetQuery(c, "SELECT 1 AS n")$n, 1L)
})

if (env("PGSSLMODE") != "disable") {
  step("tls", {
    fails("no encryption", opened(dbname = "dbname=postgres sslmode=disable"))
    fails("certificate verify failed", opened(dbname = paste0("dbname=postgres sslrootcert=", env("CLIENT_OTHER_CA"))))
  })
  step("scram", fails("password authentication failed", opened(password = "wrong")))
}
