"""The same network in PyTorch, from the same first weights, over the same batches: forecast_torch.py ROWS.f64 ROWS CHECKPOINT SETTINGS

SETTINGS is JSON: features, target (a place among the features), input, horizon, epochs, batch, validation, test, embargo, rate, decay.
Prints JSON: the parameters' count, and each epoch's training and validation loss. With "forecast" the checkpoint's weights are not
trained: the file is given where their forecasts from each row are, as raw numbers, and the largest difference is printed.

Reads the formats by itself: this Python has PyTorch and nothing else.
"""

import json
import struct
import sys

import numpy
import torch
from torch import nn

torch.set_num_threads(2)
torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, into: int, out: int, dilation: int):
        super().__init__()
        self.past = 2 * dilation
        self.conv1 = nn.Conv1d(into, out, 3, dilation=dilation)
        self.conv2 = nn.Conv1d(out, out, 3, dilation=dilation)
        self.residual = nn.Conv1d(into, out, 1) if into != out else nn.Identity()

    def forward(self, rows):
        inner = torch.relu(self.conv1(nn.functional.pad(rows, (self.past, 0))))
        inner = torch.relu(self.conv2(nn.functional.pad(inner, (self.past, 0))))
        return torch.relu(inner + self.residual(rows))


class Network(nn.Module):
    """Every value of the textbook network; dropout is 0."""

    def __init__(self, features: int, outputs: int):
        super().__init__()
        channels = [features, 64, 64, 128]
        self.blocks = nn.ModuleList(Block(channels[at], channels[at + 1], 2**at) for at in range(3))
        self.head = nn.Linear(128, outputs)

    def forward(self, windows):
        rows = windows.transpose(1, 2)
        for block in self.blocks:
            rows = block(rows)
        return self.head(rows[:, :, -1])


def tensors(path: str, kind: str) -> dict:
    data = open(path, "rb").read()
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    found = {}
    for name, info in header.items():
        if name.startswith(kind + "."):
            begin, end = info["data_offsets"]
            values = numpy.frombuffer(body[begin:end], "<f4").reshape(info["shape"])
            found[name.removeprefix(kind + ".")] = torch.from_numpy(values.copy())
    return found


def main() -> None:
    raw, count, checkpoint, settings = sys.argv[1:5]
    count, told = int(count), json.loads(settings)
    rows = numpy.fromfile(raw, "<f8").reshape(count, told["features"])
    length, horizon = told["input"], told["horizon"]
    network = Network(told["features"], horizon)
    network.load_state_dict(tensors(checkpoint, "network"))

    validation, test = round(count * told["validation"]), round(count * told["test"])
    train = count - validation - test - 2 * told["embargo"]
    mean, deviation = rows[:train].mean(0), rows[:train].std(0)
    scaled = torch.from_numpy(((rows - mean) / deviation).astype("f4"))

    def windows(start: int, end: int):
        starts = range(start, end - length - horizon + 1)
        into = torch.stack([scaled[at : at + length] for at in starts])
        out = torch.stack([scaled[at + length : at + length + horizon, told["target"]] for at in starts])
        return into, out

    if "forecast" in told:
        ours = numpy.fromfile(told["forecast"], "<f8").reshape(-1, horizon)
        into = torch.stack([scaled[at : at + length] for at in range(count - length + 1)])
        with torch.no_grad():
            theirs = network(into).numpy().astype("f8") * deviation[told["target"]] + mean[told["target"]]
        difference = numpy.abs(ours - theirs).max() / deviation[told["target"]]
        print(json.dumps({"rows": len(ours), "difference": float(difference)}))
        return

    into, out = windows(0, train)
    validation_into, validation_out = windows(train + told["embargo"], train + told["embargo"] + validation)
    optimiser = torch.optim.Adam(network.parameters(), lr=told["rate"], weight_decay=told["decay"])
    losses = []
    for _ in range(told["epochs"]):
        squares = 0.0
        for at in range(0, len(into), told["batch"]):
            batch_into, batch_out = into[at : at + told["batch"]], out[at : at + told["batch"]]
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(batch_into), batch_out)
            loss.backward()
            optimiser.step()
            squares += loss.item() * len(batch_into)
        with torch.no_grad():
            validated = nn.functional.mse_loss(network(validation_into), validation_out).item()
        losses.append([squares / len(into), validated])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(json.dumps({"parameters": parameters, "windows": [len(into), len(validation_into)], "losses": losses}))


main()
