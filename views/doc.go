// Package views will hold incremental view maintenance: a plan, its operators, and the consumer
// application that runs them.
package views
