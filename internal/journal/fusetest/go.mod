module github.com/selfheal-go/selfheal/internal/journal/fusetest

go 1.26.0

require (
	github.com/hanwen/go-fuse/v2 v2.12.1
	github.com/selfheal-go/selfheal v0.0.0
	github.com/stretchr/testify v1.12.1
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/selfheal-go/selfheal => ../../..
