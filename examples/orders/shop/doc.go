// Package shop is a small order service that heals itself, written the way a
// service of your own could be.
//
// Orders come in over HTTP and wait in a bounded queue. A pool of workers takes
// them out, has them paid at a payment server, writes a receipt into a spool
// directory and has a confirmation mailed. Partners (stock, tax and so on) are
// reached through one gateway.
//
// Everything that can fall sick has its watch beside it: what is wrong, what is
// tried and how it is put back stand in the file of the code that they are about.
//
//	queue.go    too many orders wait       more workers, then 503 for new orders
//	pool.go     a worker hangs             another takes its place (a worker is in worker.go)
//	mailer.go   goroutines pile up         the mailer is restarted
//	spool.go    the directory is full      old receipts are deleted
//	payment.go  payments are refused       three things are tried, then a person is called
//	partner.go  a partner does not answer  its session is restarted, unless all fail at once
//
// The values are those of production: minutes and hours. The tests run them in
// virtual time, where an hour takes milliseconds. The program in the folder above
// runs them 200 times as fast.
package shop
