package host

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

// SNTP returns a reference for [ClockOptions]: it asks an NTP server at address
// (host:port, the port is 123 as a rule) by one packet of 48 bytes, with a random
// origin so that a late or forged answer does not count (RFC 4330, RFC 5905). Answers
// that took longer than a second are not judged by: half the time on the way is the
// error of the offset. Use a server of your own network, by address if DNS may fail.
// It waits 5 s at most.
func SNTP(address string) func(ctx context.Context) (time.Duration, error) {
	return func(ctx context.Context) (time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, sntpTimeout)
		defer cancel()
		offset, err := askTime(ctx, address)
		if err != nil {
			return 0, fmt.Errorf("ask %s for the time: %w", address, err)
		}
		return offset, nil
	}
}

const (
	sntpTimeout  = 5 * time.Second
	sntpFarthest = time.Second
	sntpSize     = 48
	ntpEpoch     = 2208988800 // seconds from 1900 to 1970
)

func askTime(ctx context.Context, address string) (time.Duration, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var ask [sntpSize]byte
	ask[0] = 4<<3 | 3 // version 4, client
	_, _ = rand.Read(ask[40:])
	sent := time.Now()
	if _, err := conn.Write(ask[:]); err != nil {
		return 0, err
	}
	buf := make([]byte, 512)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return 0, errors.Join(context.Cause(ctx), err)
		}
		took := time.Since(sent) // by the monotonic clock
		received, answered, err := parseNTP(buf[:n], ask[40:], sent)
		if errors.Is(err, errNotOurs) {
			continue
		}
		if err != nil {
			return 0, err
		}
		way := took - answered.Sub(received)
		if way < 0 || way > sntpFarthest {
			return 0, fmt.Errorf("the answer was %v on its way, more than %v", way, sntpFarthest)
		}
		// RFC 4330, 5: ((T2 - T1) + (T3 - T4)) / 2, where T4 is T1 and what it took.
		return (received.Sub(sent) + answered.Sub(sent.Add(took))) / 2, nil
	}
}

var errNotOurs = errors.New("the answer is not to our question")

// parseNTP returns when the server got the question and when it answered, near the
// given time: the 32 bits of seconds begin anew every 136 years.
func parseNTP(text, origin []byte, near time.Time) (received, answered time.Time, err error) {
	if len(text) < sntpSize || string(text[24:32]) != string(origin) {
		return received, answered, errNotOurs
	}
	leap, mode, stratum := text[0]>>6, text[0]&7, text[1]
	switch {
	case mode != 4:
		return received, answered, fmt.Errorf("the answer has mode %d, not that of a server", mode)
	case stratum == 0:
		return received, answered, fmt.Errorf("the server refuses: %q", text[12:16])
	case leap == 3 || stratum > 15:
		return received, answered, errors.New("the server is not synchronised itself")
	}
	received, answered = ntpTime(text[32:], near), ntpTime(text[40:], near)
	if answered.Before(received) {
		return received, answered, errors.New("the server answered before it was asked")
	}
	return received, answered, nil
}

func ntpTime(b []byte, near time.Time) time.Time {
	seconds := int64(binary.BigEndian.Uint32(b)) - ntpEpoch
	const era = 1 << 32
	seconds += era * ((near.Unix() - seconds + era/2) / era)
	fraction := int64(uint64(binary.BigEndian.Uint32(b[4:])) * 1e9 >> 32)
	return time.Unix(seconds, fraction)
}
