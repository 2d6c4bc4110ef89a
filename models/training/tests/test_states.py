"""What the frozen layers have made of texts is kept over a run that is stopped."""

import numpy as np

from harca_train.pretrained import States


def test_states_come_back(tmp_path):
    values = np.arange(12, dtype=np.float16).reshape(6, 2)
    states = States(values, np.array([0, 1, 4, 6]))
    states.save(tmp_path / "states.npz")
    found = States.load(tmp_path / "states.npz")
    assert len(found) == 3 and list(found.lengths()) == [1, 3, 2]
    for kept, read in zip(states.batch(np.array([2, 1])), found.batch(np.array([2, 1])), strict=True):
        assert kept.equal(read)
    assert not list(tmp_path.glob("*.partial"))
