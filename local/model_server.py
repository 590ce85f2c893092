"""Serve one model file until killed. Run as a script that imports nothing of Pantheon.

It has its own process, because a fault in native code ends the process, and because a process that forks others must
not have the model's threads.
"""

import os
import signal
import sys
import time

MODEL_ID = "smollm2-135m-instruct"
CONTEXT_WINDOW = 8192
# A slot answers one request at a time and keeps its whole window in memory: 12 kB per token, in 8 bits.
SLOTS = 2
# Idle seconds after which the server frees the model, 200 MB. The next request loads it again in about 0.5 s.
SLEEP_S = 300
# Keeps prompts for their next turn, after another agent's prompt took their slot.
PROMPT_CACHE_MIB = 512
# After each batch of a prompt, about every 2 s, the server looks for disconnected and waiting callers.
BATCH = 256
# The environment variable with the key that callers send.
KEY_VARIABLE = "LOCAL_MODEL_KEY"
# The line before the address, printed once the model is loaded.
READY = "The local model serves "


def serve(path: str, port: int, window: int) -> None:
    """Load the model, serve it on `port` of 127.0.0.1, and print the address.

    `window` is the tokens of a slot. The parent keeps the port bound, so that no other program takes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    import xllamacpp  # here, because the parent imports this module for its constants

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
    # Threads that spin while they wait slow down other work: 18 instead of 63 tokens/s (2 cores under load).
    parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
    parameters.fit_params = False  # it would shrink the window when memory is short
    parameters.endpoint_slots = False  # it would show the prompts
    # Without a key, other users could guess prompts: an answer says how much of a prompt was in the cache.
    parameters.api_keys = [os.environ[KEY_VARIABLE]]
    parameters.ui = False
    parameters.cors_origins = ""  # no page in a browser may use it
    server = xllamacpp.Server(parameters)
    # One write, because the model's threads write to the same file, and print writes a line in two parts.
    os.write(sys.stdout.fileno(), f"{READY}{server.listening_address}\n".encode())
    parent = os.getppid()
    # Linux sends a signal when the parent dies. Other systems send none.
    while os.getppid() == parent:
        time.sleep(1)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
