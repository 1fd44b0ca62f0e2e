// Package browsertest tries the console in a real browser: Debian's Chromium,
// driven by chromedp, with the accessibility rules of axe-core. It is a module of
// its own, so that nobody who embeds the library downloads a browser's driver.
//
//	apt-get install chromium
//	npm ci
//	GOWORK=off go test ./...
//
// Screenshots are written to .out, which is not committed.
package browsertest
