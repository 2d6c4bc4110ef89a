"""Numbers of two bytes where the processor multiplies them, of four everywhere else."""

import torch


def mixed():
    """A context in which networks run in bfloat16 on processors with AVX-512 BF16 or AMX.

    Elsewhere PyTorch emulates bfloat16, six times slower than the float32 it would replace.
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())
