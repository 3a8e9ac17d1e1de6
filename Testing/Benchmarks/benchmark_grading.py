"""Time from loaded voxels to result, by stage, beside the bare forward passes of the two networks in the same process.

Run with the library installed:  python Testing/Benchmarks/benchmark_grading.py [VOLUME] [--device cpu] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()


def median_seconds(function, rounds: int) -> float:
    """Return the median time of `function` after one warm-up call."""
    function()
    seconds = []
    for _ in range(rounds):
        since = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - since)
    return statistics.median(seconds)


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far, in MB (0 where the platform does not tell)."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("volume", nargs="?", help="volume file (default: the built-in sample)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bow", type=float, default=0.0, help="grade a phantom bowed by so many mm across the slices")
    parser.add_argument("--no-bfloat16", action="store_true", help="compute as processors do that have AVX2 alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=20, help="volumes in a row for the memory check")
    arguments = parser.parse_args()

    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from equipment.curved_phantoms import PaintedSpine

    from LumbarDiscGradingLib.grading import segmenter as segmenter_module
    from LumbarDiscGradingLib.grading.grader import DiscGrader
    from LumbarDiscGradingLib.grading.segmenter import reduced_precision
    from LumbarDiscGradingLib.imaging.canvas import Grid
    from LumbarDiscGradingLib.imaging.phantom import lumbar_phantom
    from LumbarDiscGradingLib.imaging.reading import read_volume

    if arguments.no_bfloat16:
        segmenter_module._cpu_computes_bfloat16 = lambda: False
    grader = DiscGrader(arguments.device)
    ready = time.perf_counter() - STARTED
    volume = read_volume(arguments.volume) if arguments.volume else lumbar_phantom().volume
    if arguments.bow:
        volume = PaintedSpine().curved(arguments.bow, 0.0, 4.0).volume
    before_mb = peak_memory_mb()
    looked_at, graded = [], []
    network, grade = grader.segmenter.network, grader.classifier.grade_probabilities
    hook = network.register_forward_pre_hook(lambda _, inputs: looked_at.append(tuple(inputs[0].shape)))
    grader.classifier.grade_probabilities = lambda x: (graded.append(x.shape), grade(x))[1]
    result = grader.grade(volume)
    hook.remove()
    grader.classifier.grade_probabilities = grade

    whole = median_seconds(lambda: grader.grade(volume), arguments.rounds)
    stages = [grader.grade(volume).timings_s for _ in range(arguments.rounds)]
    grid = Grid.fitting(volume.voxels.shape[1:], volume.spacing_mm[1:], grader.segmenter.pixel_size_mm)
    batches = [torch.rand(shape, device=grader.device) for shape in looked_at]
    one = torch.rand(1, 1, *grid.shape, device=grader.device)
    crops = torch.rand(graded[0], device=grader.device)

    def forward() -> None:
        with torch.inference_mode(), reduced_precision(grader.device):
            for batch in batches:
                grader.segmenter.network(batch.contiguous(memory_format=torch.channels_last))
            grader.classifier.network(crops.contiguous(memory_format=torch.channels_last))
        if grader.device.type == "cuda":
            torch.cuda.synchronize()

    def forward_of_one() -> None:
        with torch.inference_mode(), reduced_precision(grader.device):
            grader.segmenter.network(one.contiguous(memory_format=torch.channels_last))
        if grader.device.type == "cuda":
            torch.cuda.synchronize()

    bare, bare_of_one = median_seconds(forward, arguments.rounds), median_seconds(forward_of_one, arguments.rounds)
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads, {grader.device_name}")
    print(
        f"volume {' x '.join(map(str, volume.voxels.shape))}, {len(result.discs)} discs, slices looked at: {looked_at}"
    )
    print(f"import to ready                {ready:8.3f} s")
    for stage in stages[0]:
        print(f"stage {stage:24} {statistics.median(s[stage] for s in stages):8.3f} s")
    print(f"loaded voxels to result        {whole:8.3f} s")
    print(f"bare forward of both networks  {bare:8.3f} s")
    print(f"whole / bare forward           {whole / bare:8.2f}")
    print(f"bare forward of one slice      {bare_of_one:8.3f} s")
    print(f"bare forward / one slice       {bare / bare_of_one:8.2f}")
    print(f"whole / one slice              {whole / bare_of_one:8.2f}")
    segmenting = statistics.median(stage["segment"] for stage in stages)
    print(f"segmenting / one slice         {segmenting / bare_of_one:8.2f}")
    after_one_mb = peak_memory_mb()
    for _ in range(arguments.batch):
        grader.grade(volume)
    print(
        f"peak memory: ready {before_mb:.0f} MB, one volume {after_one_mb:.0f} MB, "
        f"{arguments.batch} more {peak_memory_mb():.0f} MB"
    )


if __name__ == "__main__":
    main()
