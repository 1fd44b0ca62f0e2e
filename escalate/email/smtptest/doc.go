// Package smtptest holds the tests of the email notifier against a mail server
// that others wrote. It is a module of its own, so that nobody who uses selfheal
// takes on that server.
package smtptest
