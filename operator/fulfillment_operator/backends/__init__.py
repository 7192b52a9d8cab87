"""What fulfilling means: one small module for each backend. `interface` says what one must do."""
