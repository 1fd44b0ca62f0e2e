package sqlpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// busy is a healthy pool of n connections that are all in use.
func busy(t testing.TB, n int) sqlpool.Options {
	s := newStand(t, 2*n, sqlpool.TrackerOptions{})
	for range n {
		x, err := s.db.Begin()
		require.NoError(t, err)
		t.Cleanup(func() { _ = x.Rollback() })
	}
	o := s.options()
	o.LeakAfter = time.Hour
	return o
}

func TestHealthyLooksAllocateNothing(t *testing.T) {
	ctx := context.Background()
	for _, w := range sqlpool.Module(busy(t, 10)).Watches {
		require.Zero(t, testing.AllocsPerRun(200, func() {
			if found, err := w.Detector.Detect(ctx); len(found) > 0 || err != nil {
				t.Fatal(found, err)
			}
		}), w.Name)
	}
}

// BenchmarkPackOverhead is one look at everything, and with one look a second, as by
// default, what it takes of a core.
func BenchmarkPackOverhead(b *testing.B) {
	ctx := context.Background()
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("sqlpool/%d", n), func(b *testing.B) {
			watches := sqlpool.Module(busy(b, n)).Watches
			b.ReportAllocs()
			for b.Loop() {
				for _, w := range watches {
					if found, err := w.Detector.Detect(ctx); len(found) > 0 || err != nil {
						b.Fatal(found, err)
					}
				}
			}
			b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(time.Second), "%core")
		})
	}
}

// BenchmarkTracker is what calls cost with a tracker and without one, to a driver
// that does nothing.
func BenchmarkTracker(b *testing.B) {
	for _, tracked := range []bool{false, true} {
		var c driver.Connector = newServer()
		if tracked {
			c = sqlpool.NewTracker(sqlpool.TrackerOptions{}).Connector(c)
		}
		db := sql.OpenDB(c)
		b.Cleanup(func() { _ = db.Close() })
		name := map[bool]string{false: "bare", true: "tracked"}[tracked]
		run := func(what string, f func() error) {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		ctx := context.Background()
		run("exec", func() error { _, err := db.ExecContext(ctx, "x"); return err })
		run("query", func() error {
			rows, err := db.QueryContext(ctx, "select")
			if err != nil {
				return err
			}
			return rows.Close()
		})
		run("1000-rows", func() error {
			rows, err := db.QueryContext(ctx, "many")
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			return rows.Err()
		})
		run("tx", func() error {
			x, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return x.Commit()
		})
	}
}
