"""The API and the page (extra ``serve``): an entry answers recordings that come over HTTP. Nothing is kept."""
