package sqlpool_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// Whatever holders do while their connections are taken and the pool is rebuilt: the
// driver is used as it must be, the server never sees more connections than the
// program allows, and in the end every slot is back and the limit what it was.
func TestAnythingAtOnce(t *testing.T) {
	const most, holders, each = 4, 8, 60
	s := newStand(t, most, sqlpool.TrackerOptions{Describe: func(context.Context) string { return "x" }})
	o := s.options()
	o.IdleHold, o.MaxHold = ms, 3*ms
	stop := make(chan struct{})
	var takers, users sync.WaitGroup
	taken := 0
	takers.Go(func() {
		cancel, rebuild := sqlpool.CancelHolders(o), sqlpool.Rebuild(o)
		exhausted, leak := sqlpool.Exhausted(o).Detector, sqlpool.Leak(o).Detector
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(ms):
			}
			ctx, end := context.WithTimeout(context.Background(), 300*ms)
			_, _ = exhausted.Detect(ctx)
			_, _ = leak.Detect(ctx)
			if cancel.Run(ctx, request(fmt.Sprint(i), "")) == nil {
				taken++
			}
			if i == 30 {
				_ = rebuild.Run(ctx, request("rebuild", ""))
			}
			end()
		}
	})
	for i := range holders {
		users.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for range each {
				s.act(r)
			}
		})
	}
	users.Wait()
	close(stop)
	takers.Wait()
	require.Positive(t, taken)
	require.Equal(t, most, s.db.Stats().MaxOpenConnections)
	require.Zero(t, s.db.Stats().InUse)
	require.Empty(t, s.tracker.Holders())
	require.LessOrEqual(t, s.most, most)
	sum(t, s.db)
}

// act holds a connection in some way for some time; errors are what it has to expect.
func (s *stand) act(r *rand.Rand) {
	ctx, end := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(50))*ms)
	defer end()
	if r.IntN(2) == 0 {
		ctx = context.Background()
	}
	rest := func() { time.Sleep(time.Duration(r.IntN(6)) * ms) }
	query := fmt.Sprintf("sleep %dms", r.IntN(6))
	switch r.IntN(5) {
	case 0:
		_ = s.ask(ctx, query)
	case 1:
		if rows, err := s.db.QueryContext(ctx, query); err == nil {
			for rows.Next() {
				rest()
			}
			_ = rows.Close()
		}
	case 2:
		if x, err := s.db.BeginTx(ctx, nil); err == nil {
			rest()
			_, _ = x.Exec(query, 1)
			rest()
			if r.IntN(2) == 0 {
				_ = x.Commit()
			}
			_ = x.Rollback()
		}
	case 3:
		if c, err := s.db.Conn(ctx); err == nil {
			rest()
			_ = c.PingContext(ctx)
			rest()
			_ = c.Close()
		}
	case 4:
		if p, err := s.db.PrepareContext(ctx, query); err == nil {
			if rows, err := p.QueryContext(ctx); err == nil {
				rest()
				_ = rows.Close()
			}
			rest()
			_ = p.Close()
		}
	}
}

// A memo that is not ours changes nothing that could not be a limit.
func FuzzUndoOfShrink(f *testing.F) {
	f.Add([]byte(`{"From":20,"To":5,"MaxIdle":20}`), 5)
	f.Add([]byte(`{"From":0,"To":5}`), 5)
	f.Add([]byte(`{"From":-1,"To":-5,"MaxIdle":-9}`), 20)
	f.Add([]byte(`[`), 1)
	f.Fuzz(func(t *testing.T, memo []byte, limit int) {
		limit = max(min(limit, 1<<20), 0)
		db := sql.OpenDB(newServer())
		defer db.Close()
		db.SetMaxOpenConns(limit)
		req := request("i", "")
		req.Memo = memo
		err := sqlpool.Shrink(sqlpool.Options{DB: db}).Undo(t.Context(), req)
		var m struct{ From, To int }
		ours := json.Unmarshal(memo, &m) == nil && m.To == limit && m.To > 0 && m.From >= 0
		if now := db.Stats().MaxOpenConnections; now != limit && (!ours || err != nil || now != m.From) {
			t.Errorf("the limit went from %d to %d by %q (%v)", limit, now, memo, err)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("github.com/a/b.(*T[...]).M", "(*DB).QueryContext")
	f.Add("\x00\xff[", ").")
	f.Add(strings.Repeat("é", 300), "")
	f.Fuzz(func(t *testing.T, name, function string) {
		got := sqlpool.Printable(name)
		assert.True(t, utf8.ValidString(got))
		assert.LessOrEqual(t, len(got), 200+len("…"))
		assert.False(t, strings.ContainsFunc(got, func(r rune) bool { return r == '[' || r == ']' || !unicode.IsPrint(r) && r != ' ' }), got)
		assert.Contains(t, []string{"rows", "tx", "statement", "connection", "call"}, sqlpool.KindOf(function))
	})
}
