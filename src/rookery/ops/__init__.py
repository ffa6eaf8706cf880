"""
The op vocabulary.

Definitions are written in these words and nothing else; every executor offers all of them.  Values are
(rows, columns); the rows of one call belong to one or more sequences, each a contiguous *segment*.  Only `shift`
and the `wkv` ops look across rows, and never across segments.

    embed(w)                 row i is w[tokens[i]]
    take(x)                  the wanted rows: those whose logits are asked for
    linear(x, w)             x w^T; w: (out, in)
    x + y, x - y, x * y      elementwise; y another value, a vector of parameters, or a number
    exp tanh sigmoid silu    elementwise; silu(x) = x sigmoid(x)
    relu2(x)                 max(x, 0)^2
    layer_norm(x, n)         (x - mean) / sqrt(var + 1e-5) n.weight + n.bias over a row
    group_norm(x, n, h, eps) the same over each of h heads of a row
    l2norm(x, h)             x / max(|x|, 1e-12) per head
    head_sum(x, h)           the sum over each head, repeated over its lanes
    shift(x, last)           y[0] = last, y[t] = x[t-1] in each segment; and the new last row
    wkv4(w, u, k, v, S)      see `numpy.wkv4`; w, u: (C,)
    wkv6(r, w, k, v, u, S)   y = r (S + u k v^T);  S <- diag(w) S + k v^T;  w: rows or (C,), u: (C,)
    wkv7(r, w, k, v, a, b, S)  S <- diag(w) S + b (a^T S) + k v^T;  y = r S

In the wkv ops of v5 and later, S is (head, key lane, value lane) and r, w, k, a, b index the key lane.
"""
