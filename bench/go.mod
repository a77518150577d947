// The benchmark's own two programs; the standard library only, so that there is nothing to fetch.
module kzproxy.dev/bench

go 1.26
