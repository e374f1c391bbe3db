"""The API's core: a project of images, marks and answers over HTTP; the app's page is its client.

Everything is versioned JSON below `/v1` (:mod:`vicl.server.schemas`), errors are problem details,
and one worker does what is heavy, so that a request never waits for another's model.
"""
