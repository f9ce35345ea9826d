"""How much of an emoji is left when it is drawn in another manner, in Lite1's features."""

from ml_collections import config_dict

from jaxgan.evaluation.cache import real_features
from jaxgan.evaluation.features import Features, frechet, real_labels
from jaxgan.evaluation.probe import fit_class_probe
from jaxgan.metrics import name_in
from jaxgan.metrics.network import Network
from jaxgan.training.sources import splits_of

_DRAWINGS = {"a": "emoji", "b": "emoji_twitter"}
"""As `data.load` calls them, so that their features are kept once."""


class DrawingJudge:
    """Judges translations of emoji from Google's drawing to Twitter's and back.

    Args:
      config: of an experiment of translation.
      network: whose features it sees, none that a discriminator has seen.
      sources: the pictures of training, of domain a and of b; it learns their categories.
      tests: those of which neither it nor the run has seen any.

    Attributes:
      network: the same.
    """

    def __init__(
        self, config: config_dict.ConfigDict, network: Network, sources: tuple, tests: tuple
    ) -> None:
        self.network = network

        def of_real(source, domain, split):
            look = {"image_size": config.image_size, "channels": config.channels}
            look |= {"dataset": _DRAWINGS[domain], "split": split}
            features = real_features(network, source, len(source), **look)
            return features._replace(labels=real_labels(source, len(source)))

        self._learnt, self._unseen = (
            {domain: of_real(part, domain, split) for domain, part in zip("ab", parts, strict=True)}
            for parts, split in zip((sources, tests), splits_of(config), strict=True)
        )
        self._read = {
            domain: fit_class_probe(learnt, self._unseen[domain].labels)
            for domain, learnt in self._learnt.items()
        }
        self._distance = f"{name_in('fid', network.name)}_{network.name}"

    def __call__(self, way: str, made: Features) -> dict[str, float]:
        """What translations of the held-out pictures are worth.

        Args:
          way: "ab" or "ba".
          made: of the translations, with the categories of what they were made of.

        Returns:
          {"fd_lite1_b": Fréchet distance from the true drawings, which are of the same emoji,
          "read_ab": the share that is read in its category, mean over the categories}, of way "ba"
          {"fd_lite1_a", "read_ba"}.
        """
        return self._figures(way, made, made)

    def of_real(self, way: str) -> dict[str, float]:
        """The same of real drawings: the distance of training's, and what is read of the true."""
        return self._figures(way, self._learnt[way[1]], self._unseen[way[1]])

    def _figures(self, way, far, read):
        domain = way[1]
        return {
            f"{self._distance}_{domain}": frechet(self._unseen[domain].features, far.features),
            f"read_{way}": self._read[domain](read)["accuracy"],
        }
