"""The cards of the weights that ship: what they say of data and recipe is what the files themselves say."""

import re
import shutil

import pytest

from leadset.models.shipped import FOLDER, read_shipped, shipped_networks
from leadset.training.shipped.tuning import readout_of
from leadset.training.shipped.weight_cards import ATTRIBUTION, write_card

NETWORKS = shipped_networks(FOLDER, "classifier")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_card_is_what_its_weights_say(network, tmp_path):
    shutil.copy(FOLDER / f"{network}.safetensors", tmp_path)
    scores = ["| a | table |"]
    written = write_card(network, tmp_path, scores).read_text()
    assert written.endswith("| a | table |\n") and max(map(len, written.splitlines())) <= 120
    committed = (FOLDER / f"{network}.md").read_text()
    assert committed.startswith(written.removesuffix("| a | table |\n").rstrip())


@pytest.mark.parametrize("network", NETWORKS)
def test_a_card_names_what_the_weights_learned_from(network):
    _, about = read_shipped(FOLDER / f"{network}.safetensors")
    card = re.sub(r"\s+", " ", (FOLDER / f"{network}.md").read_text())
    for source, number in about["real"].items():
        assert f"{number:,} recordings: {ATTRIBUTION[source]}" in card
    assert about["readout"] == readout_of(network)
    assert f"{about['recipe']['steps']} steps of {about['recipe']['batch_size']}" in card
