"""The pages for patients, carers, professionals and staff: a client of the road in-process, rendered on the server."""
