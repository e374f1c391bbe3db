"""Long work over HTTP: a zip of images in, a zip of answers out, through restarts.

A job is a row of one SQLite file (:mod:`.store`) and a folder beside it: `images/` as they were
sent, `answers/` as `vicl predict --prompt` writes them, at last `result.zip`. One worker of all
processes (:mod:`.running`) answers them, one image at a time through the queue of requests, so
that no request waits for more than one image of a job. An answer is written whole or not at all,
and what is written is not answered again: a killed service goes on where it was.
"""
