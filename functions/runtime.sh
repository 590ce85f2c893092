#!/bin/sh
# AWS_LAMBDA_EXEC_WRAPPER: Lambda calls this with its Python and the managed runtime's loop, and this starts ours instead.
# The managed loop puts the function's folder and the layers on sys.path itself. Ours finds them by PYTHONPATH, in the
# same order, so that a layer's awslambdaric is the one that the lock file pins.
export PYTHONPATH="${LAMBDA_TASK_ROOT:-/var/task}:/opt/python${PYTHONPATH:+:$PYTHONPATH}"
exec "$1" -m functions.runtime "$_HANDLER"
