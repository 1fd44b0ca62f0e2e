package shop

import "time"

// Config is what differs from place to place.
type Config struct {
	QueueSize      int           // orders that may wait
	Workers        int           // in quiet times
	MaxWorkers     int           // when the queue is long
	Stuck          time.Duration // a worker without a sign of life for so long hangs
	PaymentTimeout time.Duration // of one call; less than Stuck, since slow is not stuck
	MailerLimit    int           // goroutines that the mailer may have
	SpoolLimit     int           // KiB of receipts that may lie in SpoolDir
	SpoolKeep      int           // newest receipts, which are never deleted

	SpoolDir    string
	KeyFile     string // holds the key for the payment server
	PaymentURL  string
	StandbyURL  string // of another provider of payments
	PartnersURL string
}

// Production has the sizes of production and no addresses.
func Production() Config {
	return Config{
		QueueSize:      10_000,
		Workers:        4,
		MaxWorkers:     16,
		Stuck:          30 * time.Second,
		PaymentTimeout: 10 * time.Second,
		MailerLimit:    5_000,
		SpoolLimit:     1 << 20,
		SpoolKeep:      10_000,
	}
}
