// Orders is a small order service that is broken in front of you and heals itself.
//
//	go run ./examples/orders
//
// Six scenes, each with a fault that is real: a slow server, goroutines that leak,
// a directory that fills, a mutex that is locked twice, a key that was revoked, a
// gateway that hangs up. What the supervisor does is printed as it happens, then
// the state of the world is checked, and at the end a table says what it took. The
// exit code is 0 only if everything happened as told.
//
//	-serve          afterwards, keep the service running for exploring; ctrl-C ends it
//	-scenes ad      only these scenes; -scenes "" none
//	-sabotage NAME  make the step of that name do nothing, and see that it is noticed
//	-log            print what the library logs, too
//
// The service with its watches is in the folder shop; begin with shop/queue.go.
// This folder is the stage:
//
//	main.go      the whole evening
//	pace.go      makes minutes of production into fractions of a second, and says so
//	outside.go   the payment server and the gateway
//	customers.go who orders
//	faults.go    how each fault is caused, and mended
//	stage.go     one scene: service, outside world, supervisor and observer
//	pager.go     the phone that rings
//	scenes.go    what happens in each scene, and what must be true
//	events.go    questions to the timeline
//	world.go     questions to the world: goroutines, files
//	screen.go    what you see
//	summary.go   the table
//	serve.go     -serve
package main
