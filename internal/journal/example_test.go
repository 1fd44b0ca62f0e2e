//go:build unix

package journal_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

// A budget of restarts that no crash resets: the intent is durable before the act.
func Example() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	const restartIntended = 1

	for life := range 3 {
		j, err := journal.Open(dir, journal.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		restarts := 0
		for r, err := range j.Replay() {
			if err != nil {
				fmt.Println(err) // something is lost: take the budget for spent
			} else if r.Type == restartIntended {
				restarts++
			}
		}
		fmt.Printf("life %d: %d restarts on record\n", life, restarts)
		if err := j.AppendSync(context.Background(), journal.Entry{Type: restartIntended, Payload: []byte("memory")}); err != nil {
			fmt.Println("not restarting:", err)
		}
		if err := j.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// life 0: 0 restarts on record
	// life 1: 1 restarts on record
	// life 2: 2 restarts on record
}

// A snapshot takes the place of what led to it.
func ExampleJournal_Snapshot() {
	disk := simfs.New(1)
	j, err := journal.OpenFS(disk, journal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	const added, total = 1, 2
	sum := uint64(0)
	for n := range uint64(5) {
		_ = j.Append([]journal.Entry{{Type: added, Payload: binary.LittleEndian.AppendUint64(nil, n)}}, nil)
		sum += n
	}
	_ = j.Snapshot([]journal.Entry{{Type: total, Payload: binary.LittleEndian.AppendUint64(nil, sum)}}, func(err error) {
		fmt.Println("snapshot:", err)
	})
	_ = j.Append([]journal.Entry{{Type: added, Payload: binary.LittleEndian.AppendUint64(nil, 7)}}, nil)
	_ = j.Close()

	j, _ = journal.OpenFS(disk, journal.Options{})
	for r := range j.Replay() {
		fmt.Println(r.Type, binary.LittleEndian.Uint64(r.Payload))
	}
	_ = j.Close()
	// Output:
	// snapshot: <nil>
	// 2 10
	// 1 7
}

// A flipped bit is found, and what it cost is known.
func ExampleReader_Verify() {
	disk := simfs.New(1)
	j, _ := journal.OpenFS(disk, journal.Options{})
	for range 3 {
		_ = j.AppendSync(context.Background(), journal.Entry{Type: 1, Payload: []byte("halted by ann")})
	}
	_ = j.Close()
	names, _ := disk.List()
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			_ = disk.Flip(name, 8*200) // in the second record
		}
	}

	report, err := journal.NewReaderFS(disk).Verify()
	fmt.Println(report.Records, report.Lost(), report.Sound(), err)
	for _, d := range report.Damage {
		fmt.Println(d)
	}
	// Output:
	// 2 1 false <nil>
	// journal: 0000000000000003.log: corrupt at byte 144 (80 bytes), 1 record lost
}

// A cooldown goes on where it was, unless the machine was off in between.
func ExampleRemaining() {
	boot := journal.BootID{1}
	began := journal.Stamp{Boot: time.Hour, BootID: boot}
	fmt.Println(journal.Remaining(5*time.Minute, began, journal.Stamp{Boot: time.Hour + time.Minute, BootID: boot}))
	fmt.Println(journal.Remaining(5*time.Minute, began, journal.Stamp{Boot: time.Minute, BootID: journal.BootID{2}}))
	// Output:
	// 4m0s
	// 5m0s
}
