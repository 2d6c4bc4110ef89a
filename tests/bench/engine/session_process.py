"""Sessions in processes of their own, so that none of several clients waits for another one's interpreter."""

import multiprocessing

from ..servers import connect


class SessionProcess:
    """A process with a session, which calls serve(session, pipe) again and again; its other end of the pipe is `pipe` here.

    It ends with the context: serve's next pipe.recv() then raises EOFError, and so does that of this end when serve has failed.
    """

    def __init__(self, server, serve):
        self.pipe, end = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=_run, args=(end, self.pipe, server, serve), daemon=True)
        self._process.start()
        end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pipe.close()
        self._process.join()


def _run(pipe, other_end, server, serve):
    # Closed by all but the other process, its end is seen here.
    other_end.close()
    with connect(server, engine_timeout=0) as session:
        try:
            while True:
                serve(session, pipe)
        except EOFError:
            return
