package sqlpool_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// A service that opens its database by the name of a driver writes
// tracker.Open("pgx", dsn) instead of sql.Open("pgx", dsn), and nothing else changes.
func Example() {
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	db := sql.OpenDB(tracker.Connector(newServer())) // or tracker.Open, by name
	defer db.Close()
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)

	module := sqlpool.Module(sqlpool.Options{
		DB: db, Tracker: tracker,
		FairShare: 5, Settings: &sqlpool.Settings{MaxIdle: 20},
	})
	heal := selfheal.New(selfheal.Options{})
	heal.Install(module)

	for _, w := range module.Watches {
		fmt.Println(module.Name + "/" + w.Name)
		for _, s := range w.Playbook.Steps {
			fmt.Println("  " + s.Name)
		}
	}
	// Output:
	// sqlpool/exhausted
	//   await-holders
	//   cancel-holders
	//   shrink-pool
	//   rebuild-pool
	// sqlpool/warning
	// sqlpool/leak
	//   reclaim
	// sqlpool/churn
}

// Who holds what, for a status page.
func ExampleTracker_Holders() {
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	db := sql.OpenDB(tracker.Connector(newServer()))
	defer db.Close()
	tx, _ := db.Begin()
	for _, h := range tracker.Holders() {
		fmt.Println(h.Kind, h.InUse)
	}
	_ = tx.Rollback()
	fmt.Println(len(tracker.Holders()))
	// Output:
	// tx false
	// 0
}

// An import that takes an hour says so, and keeps its connection.
func ExampleAllowHold() {
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	db := sql.OpenDB(tracker.Connector(newServer()))
	defer db.Close()
	ctx := sqlpool.AllowHold(context.Background(), time.Hour)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	fmt.Println(tx.Commit())
	// Output: <nil>
}

// The driver's own connection is one Unwrap further away.
func ExampleUnwrap() {
	tracker := sqlpool.NewTracker(sqlpool.TrackerOptions{})
	db := sql.OpenDB(tracker.Connector(newServer()))
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.Raw(func(driverConn any) error {
		_, ok := sqlpool.Unwrap(driverConn).(*session) // *stdlib.Conn with pgx
		fmt.Println(ok)
		return nil
	})
	// Output: true
}
