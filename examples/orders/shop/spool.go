package shop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A Spool is a directory of receipts. Other files may lie there too; they are none
// of its business.
type Spool struct {
	dir   string
	limit int // KiB
	keep  int

	mu   sync.Mutex
	last int // number of the newest receipt
}

// NewSpool returns a spool in an existing directory.
func NewSpool(c Config) *Spool {
	return &Spool{dir: c.SpoolDir, limit: c.SpoolLimit, keep: c.SpoolKeep}
}

// Write writes the receipt of an order. Receipts are numbered as they are written.
func (s *Spool) Write(o Order) error {
	text := fmt.Sprintf("order %d for %s: %d cents\n", o.ID, o.Customer, o.Cents) +
		strings.Repeat("one of something that needs a line of the receipt for itself\n", o.Lines)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return os.WriteFile(filepath.Join(s.dir, receiptName(s.last)), []byte(text), 0o600)
}

func receiptName(n int) string { return fmt.Sprintf("receipt-%08d.txt", n) }

// receiptNumber is the number in the name of a receipt; ok is false for any other
// name.
func receiptNumber(name string) (n int, ok bool) {
	digits, _ := strings.CutPrefix(name, "receipt-")
	digits, _ = strings.CutSuffix(digits, ".txt")
	n, err := strconv.Atoi(digits)
	return n, err == nil && n > 0 && name == receiptName(n)
}

// Receipts returns the numbers of the receipts, oldest first, and how many bytes
// they have. A link or a directory with the name of a receipt is not ours.
func (s *Spool) Receipts() (numbers []int, bytes int64, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		n, ok := receiptNumber(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // somebody took it away meanwhile
		}
		numbers = append(numbers, n)
		bytes += info.Size()
	}
	slices.Sort(numbers)
	return numbers, bytes, nil
}

// Size is how many KiB of receipts there are.
func (s *Spool) Size(context.Context) (int, error) {
	_, bytes, err := s.Receipts()
	return int(bytes >> 10), err
}

// DeleteOld deletes all receipts but the newest.
func (s *Spool) DeleteOld(ctx context.Context, _ remediate.Request) error {
	numbers, _, err := s.Receipts()
	if err != nil {
		return err
	}
	for _, n := range numbers[:max(len(numbers)-s.keep, 0)] {
		if ctx.Err() != nil {
			return context.Cause(ctx) // the next look says whether it was enough
		}
		err := os.Remove(filepath.Join(s.dir, receiptName(n)))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// Healing watches how much lies in the directory. A receipt can be printed again
// from its order, so what DeleteOld deletes is no loss.
func (s *Spool) Healing() selfheal.Watch {
	return selfheal.Watch{
		Name:     "orders/spool",
		Detector: detect.Above(s.Size, s.limit).ClearBelow(s.limit * 3 / 4).Unit("KiB"),
		For:      time.Minute,
		KeepFor:  3 * time.Minute,
		Playbook: remediate.Ladder(
			remediate.Step{Name: "delete-old", Run: s.DeleteOld, Lasting: true, Settle: time.Minute},
		),
	}
}
