package sqlpool

import (
	"path"
	"runtime"
	"strconv"
	"strings"
)

// How a connection is held.
const (
	kindRows = "rows"       // *sql.Rows or *sql.Row of a *sql.DB
	kindStmt = "statement"  // the same of a *sql.Stmt
	kindTx   = "tx"         // *sql.Tx
	kindConn = "connection" // *sql.Conn
	kindCall = "call"       // for as long as one call takes
)

// origin is where a checkout was made, and how.
type origin struct {
	site  string // "shop.(*Store).Orders (store/orders.go:42)"; "" where no caller is known
	kind  string
	stack []string // of the caller's own, innermost first
}

const (
	sqlPrefix = "database/sql."
	toldCalls = 8
)

// trace names a checkout by its stack. Wrappers of drivers may stand on either side
// of database/sql, so the caller is whoever called its outermost function.
func (t *Tracker) trace(pcs []uintptr) (o origin) {
	var all []runtime.Frame
	entry := -1
	frames := runtime.CallersFrames(pcs)
	for more := len(pcs) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if f.Function == "" {
			continue
		}
		if strings.HasPrefix(f.Function, sqlPrefix) {
			entry = len(all)
		}
		all = append(all, f)
	}
	o.kind = kindCall
	if entry >= 0 {
		o.kind = kindOf(strings.TrimPrefix(all[entry].Function, sqlPrefix))
	}
	for _, f := range all[entry+1:] {
		if strings.HasPrefix(f.Function, "runtime.") {
			continue
		}
		call := printable(f.Function) + " (" + shortFile(f.File) + ":" + strconv.Itoa(f.Line) + ")"
		if o.site == "" && !t.skips(f.Function) {
			o.site = call
		}
		if len(o.stack) < toldCalls {
			o.stack = append(o.stack, call)
		}
	}
	if o.site == "" && len(o.stack) > 0 {
		o.site = o.stack[0] // all of it is skipped
	}
	return o
}

func (t *Tracker) skips(function string) bool {
	for _, s := range t.o.Skip {
		if s != "" && strings.HasPrefix(function, s) {
			return true
		}
	}
	return false
}

// kindOf tells from the function of database/sql that was called what is held.
func kindOf(function string) string {
	receiver, method, _ := strings.Cut(function, ").")
	switch {
	case receiver == "(*Conn" || receiver == "(*DB" && method == "Conn":
		return kindConn
	case receiver == "(*DB" && strings.HasPrefix(method, "Begin"):
		return kindTx
	case receiver == "(*DB" && strings.HasPrefix(method, "Query"):
		return kindRows
	case receiver == "(*Stmt" && strings.HasPrefix(method, "Query"):
		return kindStmt
	}
	return kindCall
}

// words is a kind for people.
func words(kind string) string {
	switch kind {
	case kindRows, kindStmt:
		return "*sql.Rows that were not closed"
	case kindTx:
		return "a *sql.Tx that neither committed nor rolled back"
	case kindConn:
		return "a *sql.Conn that was not closed"
	}
	return "a call"
}

// shortFile keeps the folder and the name of a file.
func shortFile(file string) string {
	file = strings.ReplaceAll(file, `\`, "/")
	dir, base := path.Split(file)
	if dir = path.Base(dir); dir != "." && dir != "/" {
		base = dir + "/" + base
	}
	return printable(base)
}

// printable makes a key of a name: generic instances have brackets, and names of
// any length.
func printable(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '[':
			return '('
		case r == ']':
			return ')'
		case !strconv.IsPrint(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
