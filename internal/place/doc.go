// Package place puts files and Unix sockets into their places, whole or not at all: nobody sees half of a file, or a socket
// that is open to more than it shall be, and two programs that write one file do so one after the other.
package place
