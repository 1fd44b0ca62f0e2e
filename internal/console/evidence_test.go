package console

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type closed struct {
	*strings.Reader
	done *int
}

func (c closed) Close() error { *c.done++; return nil }

func TestEvidenceIsOpenedForThoseWhoMay(t *testing.T) {
	f := newFake().fill(3, 1, 1)
	f.state.Open[0].Evidence = []Evidence{
		{Name: "bundle of a.txt", Ref: "b1", Type: "application/zip"}, // which is kept under a better name
		{Name: "elsewhere", Ref: "https://traces.example/1"},
		{Name: "bundle", Ref: "https://ops.example/evidence?incident=x&ref=b2"},
	}
	kept := map[string][]Evidence{
		"k3v9x2-0": {{Name: "bundle", Type: "application/zip", Ref: "b1", Bytes: 2048}, {Name: "a.txt", Ref: "b1/a.txt", Bytes: 3}, {Name: "bundle", Type: "application/zip", Ref: "b2"}},
		"old":      {{Name: "bundle", Type: "application/zip", Ref: "b0"}},
	}
	var opened []string
	closes := 0
	src := f.source()
	src.Kept = func(id string, _ []Evidence) ([]Evidence, error) {
		if id == "k3v9x2-1" {
			return nil, errors.New("the disk is gone")
		}
		return kept[id], nil
	}
	src.Evidence = func(ref string) (io.ReadSeekCloser, error) {
		opened = append(opened, ref)
		return closed{strings.NewReader("<script>alert(1)</script>"), &closes}, nil
	}
	h, err := New(Options{Source: src, Authorize: yes})
	require.NoError(t, err)

	body := page(h, "/incident?id=k3v9x2-0").Body.String()
	require.Contains(t, body, `href="evidence?incident=k3v9x2-0&amp;ref=b1%2Fa.txt">a.txt</a>`)
	require.Contains(t, body, `href="https://traces.example/1">elsewhere</a>`)
	require.Contains(t, body, "2.0 KiB")
	require.NotContains(t, body, "bundle of a.txt", "it is listed once")
	require.NotContains(t, body, "https://ops.example/", "it is listed once")
	require.Contains(t, page(h, "/incident?id=k3v9x2-1").Body.String(), "goroutines", "what the incident names is shown whatever the disk does")

	for path, file := range map[string]string{
		"incident=k3v9x2-0&ref=b1": "b1.zip", "incident=k3v9x2-0&ref=b1/a.txt": "a.txt", "incident=old&ref=b0": "b0.zip",
		"incident=k3v9x2-1&ref=" + url.QueryEscape(f.state.Closed[0].Evidence[0].Ref): "goroutines.txt",
	} {
		w := ask(h, http.MethodGet, "/evidence?"+path, "", "Accept", "text/html")
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Equal(t, "attachment; filename="+file, w.Header().Get("Content-Disposition"))
		require.Equal(t, "application/octet-stream", w.Header().Get("Content-Type"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "sandbox")
	}
	require.Equal(t, len(opened), closes)
	n := len(opened)
	for _, path := range []string{"incident=k3v9x2-0&ref=b0", "incident=old&ref=b1", "incident=&ref=b0", "incident=old&ref=", "incident=old", "ref=b0", "incident=old&ref=../b0"} {
		require.Equal(t, http.StatusNotFound, ask(h, http.MethodGet, "/evidence?"+path, "").Code, path)
	}
	require.Len(t, opened, n, "what is not of the incident is not even opened")
	require.Equal(t, http.StatusMethodNotAllowed, ask(h, http.MethodPost, "/evidence?incident=old&ref=b0", "").Code)

	h, err = New(Options{Source: src})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, ask(h, http.MethodGet, "/evidence?incident=old&ref=b0", "").Code)
	require.NotContains(t, page(h, "/incident?id=k3v9x2-0").Body.String(), `href="evidence`, "nobody may")
	require.Len(t, opened, n)
}

func TestEvidenceURL(t *testing.T) {
	require.Equal(t, "https://ops.example/x/evidence?incident=a%26b&ref=c%2Fd", EvidenceURL("https://ops.example/x/", "a&b", "c/d"))
}
