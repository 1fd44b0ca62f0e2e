package sqlpool

import (
	"context"
	"database/sql/driver"
	"io"
	"reflect"
	"runtime"
)

type (
	oldStmtExecer interface {
		Exec([]driver.Value) (driver.Result, error)
	}
	oldStmtQueryer interface {
		Query([]driver.Value) (driver.Rows, error)
	}
	columnConverter interface {
		ColumnConverter(int) driver.ValueConverter
	}
)

// stmt is a prepared statement on a tracked connection.
type stmt struct {
	c     *conn
	inner driver.Stmt
}

// convertingStmt is one of a driver with a ColumnConverter, whose mere presence
// changes how database/sql converts arguments.
type convertingStmt struct {
	stmt
	columnConverter
}

func newStmt(c *conn, inner driver.Stmt) driver.Stmt {
	s := stmt{c, inner}
	if cc, ok := inner.(columnConverter); ok {
		return &convertingStmt{s, cc}
	}
	return &s
}

// NumInput implements driver.Stmt.
func (s *stmt) NumInput() int { return s.inner.NumInput() }

// Close implements driver.Stmt. With a connection that was given up its statements
// are gone.
func (s *stmt) Close() error {
	if s.c.enterPlain() != nil {
		return nil
	}
	return s.c.leave(nil, s.inner.Close())
}

// CheckNamedValue implements driver.NamedValueChecker, and prefers the statement's
// to the connection's, as database/sql does.
func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	n, ok := s.inner.(driver.NamedValueChecker)
	if !ok {
		return s.c.CheckNamedValue(v)
	}
	if err := s.c.enterPlain(); err != nil {
		return err
	}
	err := n.CheckNamedValue(v)
	_ = s.c.leave(nil, nil)
	return err
}

// Exec implements driver.Stmt. database/sql calls ExecContext.
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

// ExecContext implements driver.StmtExecContext.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	ctx, o, err := s.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if e, ok := s.inner.(driver.StmtExecContext); ok {
		res, err = e.ExecContext(ctx, args)
	} else {
		res, err = withValues(ctx, args, oldStmtExecer(s.inner).Exec)
	}
	return res, s.c.leave(o, err)
}

// Query implements driver.Stmt. database/sql calls QueryContext.
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (r driver.Rows, err error) {
	ctx, o, err := s.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	if q, ok := s.inner.(driver.StmtQueryContext); ok {
		r, err = q.QueryContext(ctx, args)
	} else {
		r, err = withValues(ctx, args, oldStmtQueryer(s.inner).Query)
	}
	return s.c.rows(o, r, err)
}

func named(args []driver.Value) []driver.NamedValue {
	n := make([]driver.NamedValue, len(args))
	for i, v := range args {
		n[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return n
}

// tx is a transaction on a tracked connection.
type tx struct {
	c     *conn
	inner driver.Tx
	o     *op
}

// Commit implements driver.Tx. Of a connection that was given up nothing is
// committed, and it says so.
func (x *tx) Commit() error {
	defer x.c.drop(x.o)
	if err := x.c.enterPlain(); err != nil {
		return err
	}
	return x.c.leave(nil, x.inner.Commit())
}

// Rollback implements driver.Tx. What was given up is rolled back by the server,
// whose session has ended.
func (x *tx) Rollback() error {
	defer x.c.drop(x.o)
	if x.c.enterPlain() != nil {
		return nil
	}
	return x.c.leave(nil, x.inner.Rollback())
}

// rows are the result of a query on a tracked connection. Nothing of ours points to
// them: that they become garbage before they are closed proves a leak.
type rows struct {
	c       *conn
	inner   driver.Rows
	o       *op
	cleanup runtime.Cleanup
}

// rows ends a call that returned rows, which keep its context.
func (c *conn) rows(o *op, inner driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, c.leave(o, err)
	}
	r := &rows{c: c, inner: inner, o: o}
	r.cleanup = runtime.AddCleanup(r, lost.note, lost{c, c.keep(o)})
	return r, nil
}

// lost is a checkout whose rows nobody can close any more.
type lost struct {
	c   *conn
	seq uint64
}

func (l lost) note() { l.c.rowsLost(l.seq) }

// Columns implements driver.Rows.
func (r *rows) Columns() []string { return r.inner.Columns() }

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	if err := r.c.enterPlain(); err != nil {
		return err
	}
	return r.c.leave(nil, r.inner.Next(dest))
}

// Close implements driver.Rows.
func (r *rows) Close() error {
	r.cleanup.Stop()
	defer r.c.drop(r.o)
	if r.c.enterPlain() != nil {
		return nil
	}
	return r.c.leave(nil, r.inner.Close())
}

// HasNextResultSet implements driver.RowsNextResultSet.
func (r *rows) HasNextResultSet() bool {
	n, ok := r.inner.(driver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

// NextResultSet implements driver.RowsNextResultSet.
func (r *rows) NextResultSet() error {
	n, ok := r.inner.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	if err := r.c.enterPlain(); err != nil {
		return err
	}
	return r.c.leave(nil, n.NextResultSet())
}

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if p, ok := r.inner.(driver.RowsColumnTypeScanType); ok {
		return p.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if p, ok := r.inner.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return p.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

// ColumnTypeLength implements driver.RowsColumnTypeLength.
func (r *rows) ColumnTypeLength(i int) (int64, bool) {
	if p, ok := r.inner.(driver.RowsColumnTypeLength); ok {
		return p.ColumnTypeLength(i)
	}
	return 0, false
}

// ColumnTypeNullable implements driver.RowsColumnTypeNullable.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if p, is := r.inner.(driver.RowsColumnTypeNullable); is {
		return p.ColumnTypeNullable(i)
	}
	return false, false
}

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if p, is := r.inner.(driver.RowsColumnTypePrecisionScale); is {
		return p.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}
