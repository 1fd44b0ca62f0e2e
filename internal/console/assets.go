package console

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"strings"
)

// The page, as files that are edited as what they are.
var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

func parsePage() (*template.Template, error) {
	return template.New("page").Funcs(functions()).Parse(pageHTML)
}

// assets returns what a page begins with, and the policy that allows exactly that:
// one style and one script, both part of the page and known by their hashes,
// nothing from elsewhere, no frame around it.
func assets() (head, policy string) {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	css, js := strings.TrimSpace(pageCSS), strings.TrimSpace(pageJS)
	head = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex"><link rel="icon" href="data:,">` +
		"<style>" + css + "</style>"
	policy = "default-src 'none'; style-src " + hash(css) + "; script-src " + hash(js) +
		"; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return head, policy
}

// foot is what a page ends with. The script comes last, so that it finds the page.
func foot() string { return "<script>" + strings.TrimSpace(pageJS) + "</script></body></html>\n" }
