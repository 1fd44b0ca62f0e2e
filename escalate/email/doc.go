// Package email is a notifier that sends mail through a server of your own, by
// SMTP (RFC 5321).
//
//	page, err := email.New(email.Config{
//		Addr: "smtp.example.com:587",
//		From: "Orders <healing@example.com>",
//		To:   []string{"oncall@example.com"},
//		Username: "healing", Password: escalate.Secret(os.Getenv("SMTP_PASSWORD")),
//	})
//
// TLS is required: at once on port 465, by STARTTLS on any other; see
// [Config.TLS]. A password is sent under TLS only, by AUTH PLAIN or LOGIN.
//
// A reply of 4yz, and a connection that fails, is passing: the notification is
// tried again. A reply of 5yz is permanent (see [escalate.Failure]). With several
// recipients those who can be reached get the mail. Those who were put off are
// asked again under the same notification, without another copy for the others;
// those who were refused for good are named in the log, and are an error only when
// nobody was left.
//
// A connection that breaks after the last line may have delivered the mail. So
// every try of a notification carries one Message-ID, by which servers and
// readers drop a second copy. All mails of an incident refer to one root id, so
// that they are one thread.
//
// A mail is the title and the text of [escalate.Notification] with its links, as
// plain text and as HTML that looks the same. It says Auto-Submitted, so that
// nobody's holiday notice answers it (RFC 3834).
package email
