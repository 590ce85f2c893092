"""The process that holds the local model: a script that serves the file it is given until it is killed.

It is a process of its own because a fault in native code ends it, and because the model's threads must not be
where other processes are forked. It imports nothing of Pantheon.
"""

import os
import signal
import sys
import time

MODEL_ID = "smollm2-135m-instruct"
CONTEXT_WINDOW = 8192
# Every slot answers one request at a time and holds its whole window in memory: 12 kB per token, in 8 bits.
SLOTS = 2
# After so many idle seconds the server frees the model, 200 MB. The next request loads it again in about 0.5 s.
SLEEP_S = 300
# Prompts that lost their slot to another agent's are kept for their next turn.
PROMPT_CACHE_MIB = 512
# Between batches of a prompt the server sees that a caller has hung up or that another waits: every 2 s or so.
BATCH = 256
# The variable of the key that callers present.
KEY_VARIABLE = "LOCAL_MODEL_KEY"
# What stands before the address in the line that tells that the model is loaded.
READY = "The local model serves "


def serve(path: str, port: int, window: int) -> None:
    """Load the model, serve it on `port` of 127.0.0.1, and print the address. `window` is that of a slot, in tokens.

    The parent keeps the port bound, so that no other program takes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    import xllamacpp  # here, since the parent reads the constants and needs nothing of it

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.model_alias = {MODEL_ID}
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * window
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    parameters.port = port
    parameters.reuse_port = True
    parameters.sleep_idle_seconds = SLEEP_S
    parameters.n_batch = BATCH
    parameters.n_ubatch = BATCH
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    # Threads that wait by spinning take the core from whatever they wait for: 18 tokens/s instead of 63 on a machine
    # with two cores and something else to do.
    parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
    parameters.fit_params = False  # it would shrink the window on a machine that is short of memory
    parameters.endpoint_slots = False  # it would show the prompts
    # Other users of this machine could learn a prompt: an answer tells how much of a guess was in the cache.
    parameters.api_keys = [os.environ[KEY_VARIABLE]]
    parameters.ui = False
    parameters.cors_origins = ""  # no page in a browser may use it
    server = xllamacpp.Server(parameters)
    # In one write: the model's own threads write to the same file, and print would leave room before the line's end.
    os.write(sys.stdout.fileno(), f"{READY}{server.listening_address}\n".encode())
    parent = os.getppid()
    # Linux sends a signal when the parent dies. Other systems do not.
    while os.getppid() == parent:
        time.sleep(1)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
