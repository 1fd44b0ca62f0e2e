package postgrestest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// BenchmarkQuery is what a tracker adds to a query on loopback and to a row.
func BenchmarkQuery(b *testing.B) {
	server := startPostgres(b)
	for _, q := range []struct{ name, query string }{{"row", "select 1"}, {"rows-1000", "select generate_series(1, 1000)"}} {
		for _, tracked := range []bool{false, true} {
			name, open := q.name+"/bare", func() (*sql.DB, error) { return sql.Open("pgx", server.dsn("bench")) }
			if tracked {
				tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
				name, open = q.name+"/tracked", func() (*sql.DB, error) { return tracker.Open("pgx", server.dsn("bench")) }
			}
			b.Run(name, func(b *testing.B) {
				db, err := open()
				require.NoError(b, err)
				defer db.Close()
				b.ReportAllocs()
				for b.Loop() {
					rows, err := db.QueryContext(context.Background(), q.query)
					if err != nil {
						b.Fatal(err)
					}
					for rows.Next() {
						var n int
						if err := rows.Scan(&n); err != nil {
							b.Fatal(err)
						}
					}
					if err := rows.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
