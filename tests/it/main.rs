//! Integration tests, one module for each stage.

mod needs;
