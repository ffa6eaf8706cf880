"""A script for the `rwkv` package, run by rookery: only the two imports differ.

python examples/rwkv_package.py MODEL.pth "Once upon a time"
"""

import copy
import sys

from rookery.compat.rwkv.model import RWKV
from rookery.compat.rwkv.utils import PIPELINE, PIPELINE_ARGS

if len(sys.argv) < 3:
    sys.exit("usage: python examples/rwkv_package.py MODEL.pth PROMPT")
path, prompt = sys.argv[1], sys.argv[2]

model = RWKV(model=path, strategy="cpu fp32")
pipeline = PIPELINE(model, "rwkv_vocab_v20230424")

logits, state = model.forward(pipeline.encode(prompt), None)
likeliest = logits.argsort()[::-1][:3]
print("next could be:", [pipeline.decode([int(token)]) for token in likeliest])

for token in likeliest:  # try each, from the same state
    ahead, _ = model.forward([int(token)], copy.deepcopy(state))
    print(repr(pipeline.decode([int(token)])), "then", repr(pipeline.decode([int(ahead.argmax())])))

args = PIPELINE_ARGS(temperature=1.0, top_p=0.5, alpha_frequency=0.2, alpha_presence=0.2, token_stop=[0])
pipeline.generate(prompt, token_count=40, args=args, callback=lambda text: print(text, end="", flush=True))
print()
