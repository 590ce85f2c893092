#!/bin/sh
# AWS_LAMBDA_EXEC_WRAPPER: Lambda calls this with its Python and the managed loop. This starts functions.runtime instead.
# The managed loop adds the function's folder and the layers to sys.path. PYTHONPATH adds them here in the same order,
# so that the layer's awslambdaric, which the lock file pins, is imported.
export PYTHONPATH="${LAMBDA_TASK_ROOT:-/var/task}:/opt/python${PYTHONPATH:+:$PYTHONPATH}"
exec "$1" -m functions.runtime "$_HANDLER"
