"""What a function may import of the platform. The same whether its initialisation runs once, in a zygote of its own,
or in each sandbox."""

import asyncio

from http_function import Request, Response

__all__ = ["Request", "Response", "after_fork"]

_hooks = []
_have_run = False


def after_fork(callback):
    """Registers what is to run in every sandbox after initialisation, before the handler: opening connections, seeding
    generators. Usable as a decorator; a coroutine function is awaited. An exception is the invocation's error."""
    if not callable(callback):
        raise TypeError("oncebox.after_fork takes a function")
    if _have_run:
        raise RuntimeError("oncebox.after_fork belongs to initialisation: the hooks have run")
    _hooks.append(callback)
    return callback


def _run():
    global _have_run
    for callback in _hooks:
        waiting = callback()
        if asyncio.iscoroutine(waiting):
            asyncio.run(waiting)
    _have_run = True
