"""One module per area of the portal: a request in, what the road answers as a view model, a template out."""
