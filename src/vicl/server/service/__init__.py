"""`vicl serve`: prompts behind HTTP, for programs; :mod:`vicl.server` itself is a person's app.

One process has one engine's thread (:mod:`.batcher`): queries of all requests wait in one bounded
queue, and those of one prompt are answered together. :class:`.service.Service` is what the routes
share; FastAPI gives it to a route that asks for :data:`.service.Use`.

**A further router** is a module of its own beside this one that makes an `APIRouter`, whose
routes take ``service: Use`` and raise :class:`vicl.server.problems.Refusal`. It is added to
``ROUTERS`` in :mod:`.app`, which puts it behind the gate (host, keys, headers, problem details).
A body is read by :func:`.uploads.read_form`, which holds to the limits, and answered by
``await service.answer(prompt, images, until)``. What has to be begun and ended with the process
goes into ``Service.begin`` and ``Service.end``. Several worker processes share nothing but the
socket and the counts of `/metrics`: what has to be shared is kept on the disk.
"""
