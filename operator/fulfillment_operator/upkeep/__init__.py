"""What the leader sees to beside reconciling: it runs now and then, over what nobody watches."""
