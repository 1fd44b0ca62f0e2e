package evidence

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A profile is a gzipped protocol buffer, profile.proto of google/pprof. What
// people wrote into it are labels (pprof.Do) and names, all in one table of
// strings, so the table is rewritten and the rest is copied as it stands.

// Numbers of fields in profile.proto.
const (
	profileSample  = 2 // Profile.sample
	profileStrings = 6 // Profile.string_table
	sampleLabel    = 3 // Sample.label
	labelKey       = 1 // Label.key, an index of the table
	labelText      = 2 // Label.str, likewise
)

// mostProfile bounds what a profile may unfold to.
const mostProfile = 256 << 20

var errNoProfile = errors.New("it is no profile that pprof could read")

// profile hides credentials in a profile.
func (c cleaner) profile(data []byte) ([]byte, error) {
	raw, err := gunzip(data)
	if err != nil {
		return nil, err
	}
	var table []string
	var labels [][2]uint64 // indexes of a name and its text
	err = eachField(raw, func(f field) error {
		switch {
		case f.number == profileStrings && f.wire == wireBytes:
			table = append(table, string(f.body))
		case f.number == profileSample && f.wire == wireBytes:
			return eachField(f.body, func(f field) error {
				if f.number != sampleLabel || f.wire != wireBytes {
					return nil
				}
				v, err := numbers(f.body, labelText)
				labels = append(labels, [2]uint64{v[labelKey], v[labelText]})
				return err
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	clean := make([]string, len(table))
	for i, s := range table {
		clean[i] = c.text(s)
	}
	for _, l := range labels {
		if l[0] >= uint64(len(table)) || l[1] >= uint64(len(table)) {
			return nil, errNoProfile
		}
		if l[1] > 0 { // 0 is the empty string: a label with a number
			clean[l[1]] = c.named(table[l[0]], clean[l[1]])
		}
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	next := 0
	err = eachField(raw, func(f field) error {
		text := f.all
		if f.number == profileStrings && f.wire == wireBytes {
			text = appendBytes(nil, profileStrings, clean[next])
			next++
		}
		_, err := w.Write(text)
		return err
	})
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoProfile, err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, mostProfile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNoProfile, err)
	case len(raw) > mostProfile:
		return nil, fmt.Errorf("the profile unfolds to more than %d bytes", mostProfile)
	}
	return raw, nil
}

// Wire types of protocol buffers.
const (
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

type field struct {
	number, wire uint64
	value        uint64 // of a varint
	body         []byte // of bytes
	all          []byte // as it stands, tag included
}

// eachField calls f with the fields of a message.
func eachField(msg []byte, f func(field) error) error {
	for len(msg) > 0 {
		tag, n := binary.Uvarint(msg)
		if n <= 0 {
			return errNoProfile
		}
		cur := field{number: tag >> 3, wire: tag & 7}
		var size uint64
		switch cur.wire {
		case wireVarint:
			v, m := binary.Uvarint(msg[n:])
			if m <= 0 {
				return errNoProfile
			}
			cur.value, size = v, uint64(m)
		case wireFixed8:
			size = 8
		case wireFixed4:
			size = 4
		case wireBytes:
			v, m := binary.Uvarint(msg[n:])
			if m <= 0 {
				return errNoProfile
			}
			n, size = n+m, v
		default:
			return errNoProfile
		}
		if size > uint64(len(msg)-n) {
			return errNoProfile
		}
		end := n + int(size)
		if cur.wire == wireBytes {
			cur.body = msg[n:end]
		}
		cur.all, msg = msg[:end], msg[end:]
		if err := f(cur); err != nil {
			return err
		}
	}
	return nil
}

func appendBytes(to []byte, number uint64, text string) []byte {
	to = binary.AppendUvarint(to, number<<3|wireBytes)
	to = binary.AppendUvarint(to, uint64(len(text)))
	return append(to, text...)
}
