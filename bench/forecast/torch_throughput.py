"""As forecast/examples/throughput.rs, in PyTorch: torch_throughput.py BATCH THREADS SECONDS [ROWS]

ROWS is how many rows of a window the network is given: 100 is the textbook's way. 29 are those that the forecast depends on; with them
PyTorch is given half of what tapemill does.
"""

import json
import sys
import time

import torch
from torch import nn

batch, threads, seconds, *rows = map(int, sys.argv[1:])
rows = (rows + [100])[0]
torch.set_num_threads(threads)
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self, into: int, out: int, dilation: int):
        super().__init__()
        self.past = 2 * dilation
        self.conv1 = nn.Conv1d(into, out, 3, dilation=dilation)
        self.conv2 = nn.Conv1d(out, out, 3, dilation=dilation)
        self.residual = nn.Conv1d(into, out, 1) if into != out else nn.Identity()
        self.dropout = nn.Dropout(0.1)

    def forward(self, rows):
        inner = self.dropout(torch.relu(self.conv1(nn.functional.pad(rows, (self.past, 0)))))
        inner = self.dropout(torch.relu(self.conv2(nn.functional.pad(inner, (self.past, 0)))))
        return torch.relu(inner + self.residual(rows))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(7, 64, 1), Block(64, 64, 2), Block(64, 128, 4))
        self.head = nn.Linear(128, 10)

    def forward(self, windows):
        return self.head(self.blocks(windows.transpose(1, 2))[:, :, -1])


network = Network()
assert sum(parameter.numel() for parameter in network.parameters()) == 122_570
optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
windows, ahead = torch.randn(batch, rows, 7), torch.randn(batch, 10)


def train() -> None:
    optimiser.zero_grad()
    loss = nn.functional.mse_loss(network(windows), ahead)
    loss.backward()
    optimiser.step()
    loss.item()


def forecast() -> None:
    with torch.no_grad():
        network(windows)


def rate(work) -> float:
    work()
    work()
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        work()
        done += batch
    return done / (time.perf_counter() - begun)


trained = rate(train)
network.eval()
print(json.dumps({"train": round(trained, 1), "forecast": round(rate(forecast), 1), "torch": torch.__version__}))
